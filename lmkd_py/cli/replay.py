"""lmkctl replay: decide every recorded wakeup again and tell every difference."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..analysis import replay as again
from ..analysis.trace import Trace, TraceError, read_trace
from .output import CliError, say

TraceFile = Annotated[Path, typer.Argument(help="a .lmkt file, or the directory of one boot")]
MAX_SHOWN = 20


def load(path: Path) -> Trace:
    """The trace at a path; CliError if there is none."""
    try:
        return read_trace(path)
    except TraceError as error:
        raise CliError(str(error)) from error
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}; wanted a .lmkt file or a directory of them") from error


def say_losses(trace: Trace) -> None:
    """What the trace does not hold, and who else killed; nothing if it is whole and the daemon was alone."""
    for loss in trace.losses:
        say(f"lost: {loss.length} bytes at {loss.offset} of {loss.file.name}: {loss.why}", "yellow")
    for gap in trace.gaps:
        say(f"lost: {gap.count} records of killer {gap.killer_pid} after its record {gap.after_seq}", "yellow")
    if trace.strikes:
        say(f"the kernel struck {len(trace.strikes)} times in the killer's stead; nobody decided that", "yellow")
    if trace.oom_kills > 0:
        say(f"the kernel's own OOM killer struck {trace.oom_kills} times in the guarded memory meanwhile", "yellow")


def say_result(result: again.ReplayResult) -> None:
    """The count of what was decided again, and the first differences."""
    for one in result.differences[:MAX_SHOWN]:
        say(
            f"differs: record {one.seq} of killer {one.killer_pid}: {one.field} recorded {one.recorded}, "
            f"decided {one.decided}",
            "red",
        )
    if len(result.differences) > MAX_SHOWN:
        say(f"and {len(result.differences) - MAX_SHOWN} more", "red")
    if result.without_config:
        say(f"{result.without_config} wakeups have lost their configuration and cannot be decided again", "red")
    count = len(result.differences)
    differences = "1 difference" if count == 1 else f"{count} differences"
    say(f"replay: {result.records} wakeups, {result.kills} kills, {differences}", "green" if result.agrees else "red")


def replay(trace: TraceFile) -> None:
    """Decide every recorded wakeup again, with the recorded configuration; exit 1 on any difference."""
    found = load(trace)
    say_losses(found)
    result = again.replay(found)
    say_result(result)
    if not result.agrees:
        raise typer.Exit(1)

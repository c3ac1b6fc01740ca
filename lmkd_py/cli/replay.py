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
    """Say what the trace has lost, and which kills were not the killer's; nothing where there are none."""
    for loss in trace.losses:
        say(f"lost: {loss.length} bytes at {loss.offset} of {loss.file.name}: {loss.why}", "yellow")
    for gap in trace.gaps:
        say(f"lost: {gap.count} records of killer {gap.killer_pid} after its record {gap.after_seq}", "yellow")
    if trace.strikes:
        say(f"the kernel killed {_times(len(trace.strikes))} instead of the killer; no rule decided that", "yellow")
    if trace.oom_kills > 0:
        say(f"the kernel's own OOM killer killed {_times(trace.oom_kills)} in the guarded memory", "yellow")


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def say_result(result: again.ReplayResult) -> None:
    """Print how many decisions were made again, and the first differences."""
    for one in result.differences[:MAX_SHOWN]:
        say(
            f"differs: record {one.seq} of killer {one.killer_pid}: {one.field} recorded {one.recorded}, "
            f"decided {one.decided}",
            "red",
        )
    if result.different > MAX_SHOWN:
        say(f"and {result.different - MAX_SHOWN} more", "red")
    if result.without_config:
        say(f"{result.without_config} wakeups lost their configuration and cannot be replayed", "red")
    count = result.different
    differences = "1 difference" if count == 1 else f"{count} differences"
    colour = "green" if result.agrees else "red"
    say(f"replay: {result.records} recorded wakeups, {result.kills} kills, {differences}", colour)


def replay(trace: TraceFile) -> None:
    """Make every recorded decision again and compare.

    Uses the recorded configuration. Exits with 1 if any decision differs from the recorded one.

    \b
    lmkctl replay traces/arm64-4g/SERIAL/BOOT
    """
    found = load(trace)
    say_losses(found)
    result = again.replay(found)
    say_result(result)
    if not result.agrees:
        raise typer.Exit(1)

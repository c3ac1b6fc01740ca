"""Long traces on paper. `python -m tests.analysis.long` tells what explaining and replaying them costs."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.wire.header import Process
from lmkd_py.wire.record import Aftermath
from tests.analysis.paper import LOW_MEM, PaperKiller, Part, frame, header
from tests.core.values import make_candidate
from tests.support import REPO_ROOT

KILLS = 10_000
RECORDS = (100_000, 1_000_000)


def kills(count: int) -> Iterator[Part]:
    """So many kills: who the victim is, the kill, and the wakeup that saw its death."""
    killer = PaperKiller()
    for nth in range(count):
        pids = range(1000 + 8 * nth, 1008 + 8 * nth)
        killer.candidates = tuple(make_candidate(pid, 900 - pid % 8) for pid in pids)
        kill = killer.wakeup(after_ms=500, **LOW_MEM, kswapd_progress=102 + nth)
        struck_ns = killer.now_ms * 1_000_000
        yield Process(kill.outcome.pid, 1, 10_000, "com.example.app", "com.example.app")
        yield kill
        death = Aftermath(kill.outcome.pid, struck_ns, struck_ns + 5_000_000, 140_000, 0)
        yield killer.wakeup(after_ms=20, mem_free_kb=400_000, kswapd_progress=102 + nth, aftermath=death)


def polls(count: int) -> Iterator[Part]:
    """So many wakeups without a kill."""
    killer = PaperKiller()
    for nth in range(count):
        yield killer.wakeup(kswapd_progress=100 + nth)


def write_long(path: Path, parts: Iterator[Part]) -> Path:
    """A header and the parts, written one by one."""
    with path.open("wb") as file:
        file.writelines(map(frame, chain([header(PaperKiller().config)], parts)))
    return path


def explain_all(path: Path) -> int:
    """Every kill of a trace; how many there are."""
    trace = read_trace(path)
    for number in range(1, len(trace.all_kills) + 1):
        explain(trace, number)
    return len(trace.all_kills)


def replay_all(path: Path) -> int:
    """Every wakeup of a trace; how many there are."""
    result = replay(read_trace(path))
    assert result.agrees
    return result.records


def main() -> None:
    """Make the traces, and use each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="lmkd-long-") as folder:
        for what, parts, number in (("explain_all", kills, KILLS), *(("replay_all", polls, each) for each in RECORDS)):
            path = write_long(Path(folder) / "0001.lmkt", parts(number))
            code = f"from tests.analysis.long import {what}, report; report({what}, {str(path)!r})"
            subprocess.run([sys.executable, "-c", code], cwd=REPO_ROOT, check=True)


def report(what: object, path: str) -> None:
    """Do it, and print what it took this process."""
    before, begin = resource.getrusage(resource.RUSAGE_SELF), time.process_time()
    count = what(Path(path))  # type: ignore[operator]
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        f"{getattr(what, '__name__', '')}: {count} in {time.process_time() - begin:.1f} s of CPU; "
        f"Rss at most {after.ru_maxrss >> 10} MiB, {before.ru_maxrss >> 10} MiB before"
    )


if __name__ == "__main__":
    main()

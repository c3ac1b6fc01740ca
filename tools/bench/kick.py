"""From BPF's kick to the killer's wake-up: the daemon as a user starts it, beside readers that thrash its domain.

The program's own clock at the kick against the trace: when poll() had returned in the wakeup that the kick caused. A
kick has a record of its own only where nobody polls yet: the readers rest between two of them.
"""

from __future__ import annotations

import mmap
import os
import signal
import time
from collections.abc import Iterable
from itertools import pairwise

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.polling import POLL_TAIL_MS
from lmkd_py.kernel.bpf import layout, parent_of
from lmkd_py.kernel.bpf.pins import GUARD, obj_get
from lmkd_py.kernel.sensing.triggers import bpf_kick
from lmkd_py.wire.header import Header
from tools.bench.guards import Daemon
from tools.bench.strike import LIMIT_MIB, PATIENCE_S, READERS

QUIET = PolicyConfig(thrashing_limit_pct=1_000_000, thrashing_limit_critical_pct=3_000_000)  # it evaluates, nobody dies
LOOK_S = 0.002  # kicks are at least 25 ms apart (kick_gap_ms)
REST_S = POLL_TAIL_MS / 1000 + 0.3


def measure(kicks: int) -> list[float]:
    """Microseconds of about `kicks` kicks. RuntimeError if they do not come."""
    with Sandbox(LIMIT_MIB) as board:
        daemon = Daemon(board.monitor_config(discovery={"scan_min_adj": 100}), QUIET)
        daemon.start()
        try:
            seen = _watch(_words(daemon.root), board.start_thrashers(READERS), kicks)
        finally:
            daemon.stop()
        traced = read_trace(daemon.trace_files()[-1]).records
        daemon.forget()
    woke = [each.record.timings.woke_ns for each in traced if _by_kick(each.header, each.record.trigger)]
    return answers_us(seen, woke)


def answers_us(kicks: Iterable[int], woke: Iterable[int]) -> list[float]:
    """Each kick (ns) to the first wakeup (ns) after it and before the next kick, in microseconds; others have none."""
    times = sorted([(ns, 0) for ns in kicks] + [(ns, 1) for ns in woke])
    return [
        (ns - before) / 1000
        for (before, is_wakeup_before), (ns, is_wakeup) in pairwise(times)
        if is_wakeup and not is_wakeup_before
    ]


def _words(root: str) -> memoryview:
    """The words of the program behind the daemon of this state root."""
    loads = (os.path.join(parent_of(root), name) for name in os.listdir(parent_of(root)))
    (guard,) = filter(os.path.exists, (os.path.join(load, GUARD) for load in loads))  # process events have pins, too
    fd = obj_get(guard)
    try:
        return memoryview(mmap.mmap(fd, layout.WORDS_BYTES, prot=mmap.PROT_READ)).cast("Q")
    finally:
        os.close(fd)


def _watch(words: memoryview, readers: list[App], kicks: int) -> set[int]:
    """When the first kick of each of so many bursts of reading was given."""
    seen: set[int] = set()
    while len(seen) < kicks:
        last, end = words[layout.KICK], time.monotonic() + PATIENCE_S
        while words[layout.KICK] == last:
            if time.monotonic() > end:
                raise RuntimeError(f"{len(seen)} of {kicks} kicks, then none within {PATIENCE_S} s")
            time.sleep(LOOK_S)
        seen.add(words[layout.KICK])
        for reader in readers:
            reader.signal(signal.SIGSTOP)
        time.sleep(REST_S)
        for reader in readers:
            reader.signal(signal.SIGCONT)
    return seen


def _by_kick(header: Header | None, trigger: int) -> bool:
    return header is not None and trigger >= 0 and header.triggers[trigger].name == bpf_kick.NAME

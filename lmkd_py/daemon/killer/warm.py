"""The warm tick: what a kill needs is touched every few milliseconds while the killer polls after an event.

Where something thrashes, a tenth of a second is enough to leave nothing of ours in the CPU's caches, and a kill costs
what it takes to fetch all of it again, about a third of its time. A tick is half an evaluation without consequences:
the real reads, a judgement nobody acts on, signal 0 to the first in line. It writes no record and changes no field of
loop, evaluator, roster or state.

It keeps within its share of one CPU by measuring itself. What was not used of the share of the last second may be
spent at once: the first tick finds cold caches and takes several times as long as those after it, and with a pause as
long as that asks for the next would find them cold again. A tick that takes very long would hold up a real event, so
after two in a row (one may have been interrupted) there are none for a while.
"""

from __future__ import annotations

import os
from time import monotonic_ns

from ...core.config import MonitorConfig
from ...core.decide import judge
from ...core.numbers import EVENT
from ...core.polling import POLL_TAIL_MS
from ...core.watermarks import wants_watermarks
from ...kernel.acting.poll import PollSet
from ...kernel.sensing.domain import Domain
from .evaluate import Evaluator
from .roster import NOBODY

NS_PER_MS = 1_000_000
SAVED_NS = 1000 * NS_PER_MS  # as much of its share as this time is worth may be spent at once
TOO_LONG_NS = 2_500_000  # a warm tick takes 0.1 ms where the C loop needs 0.15 ms for a kill
RETRY_NS = 10_000 * NS_PER_MS


def serves(monitor: MonitorConfig, domain: Domain) -> bool:
    """Start-up. Are there to be ticks at all? Not on one CPU, and not where a sample allocates."""
    wanted = monitor.guarantee.warm_ms > 0 and monitor.guarantee.warm_cpu_pct > 0
    return wanted and len(os.sched_getaffinity(0)) > 1 and not domain.allocating()


class WarmTick:
    """When the next tick is due, and the tick itself."""

    def __init__(self, evaluator: Evaluator, warm_ms: int, cpu_pct: int) -> None:
        self._evaluator = evaluator
        self._pause_ns = warm_ms * NS_PER_MS
        self._cpu_pct = cpu_pct
        self._until_ns = 0
        self._due_ns = 0
        self._saved_ns = 0  # of its share; below 0: ahead of it
        self._counted_ns = 0  # when that was
        self._was_long = False

    def event(self, now_ns: int) -> None:
        """Kill path. A trigger fired: ticks are worth their time for a second."""
        self._until_ns = now_ns + POLL_TAIL_MS * NS_PER_MS

    def wait_ms(self, now_ns: int) -> int:
        """Kill path. Time until the next tick; -1: none will be due before another event."""
        due_ns = self._due_ns if self._due_ns > now_ns else now_ns + self._pause_ns
        if due_ns > self._until_ns or not self._cpu_pct:
            return -1
        return (due_ns - now_ns + NS_PER_MS - 1) // NS_PER_MS

    def wait(self, polls: PollSet, timeout_ms: int, level: int) -> int:
        """Kill path. poll(), with ticks until something is ready or the time is over."""
        now_ns = monotonic_ns()
        end_ns = now_ns + timeout_ms * NS_PER_MS
        while True:
            left_ms = max(0, (end_ns - now_ns + NS_PER_MS - 1) // NS_PER_MS)
            pause_ms = self.wait_ms(now_ns)
            if pause_ms < 0 or pause_ms >= left_ms:
                return polls.wait(left_ms)
            ready = polls.wait(pause_ms)
            if ready:
                return ready
            self.tick(level)
            now_ns = monotonic_ns()

    def tick(self, level: int) -> None:
        """Kill path. Touch everything, and set when that may be done again."""
        began_ns = monotonic_ns()
        self.touch(level)
        self.pay(began_ns, monotonic_ns())

    def pay(self, began_ns: int, ended_ns: int) -> None:
        """Kill path. Take what a tick took from what is saved; the next one is due when there is something again."""
        cpu_pct, took_ns = self._cpu_pct, ended_ns - began_ns
        earned_ns = min(self._saved_ns + (ended_ns - self._counted_ns) * cpu_pct // 100, SAVED_NS * cpu_pct // 100)
        self._saved_ns, self._counted_ns = earned_ns - took_ns, ended_ns
        pause_ns = max(self._pause_ns, -self._saved_ns * 100 // cpu_pct)
        is_long = took_ns > TOO_LONG_NS
        self._due_ns = ended_ns + (RETRY_NS if is_long and self._was_long else pause_ns)
        self._was_long = is_long

    def touch(self, level: int) -> None:
        """Kill path. Half an evaluation of an event of this level: read, judge, look at the first in line."""
        evaluator = self._evaluator
        now_ms = monotonic_ns() // NS_PER_MS
        config, state = evaluator.inbox.policy, evaluator.state
        wanted = wants_watermarks(state, now_ms)
        snapshot = evaluator.domain.sample(now_ms, EVENT, level, evaluator.outcome, 0, wanted)
        judgement = judge(snapshot, state, config)
        row = evaluator.roster.oldest_expendable(judgement.min_adj, config.kill_heaviest_task)
        if row != NOBODY:
            evaluator.striker.touch(row)

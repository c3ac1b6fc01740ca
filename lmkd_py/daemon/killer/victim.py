"""The struck process whose death is awaited, and what became of it."""

from __future__ import annotations

from ...core.snapshot import REAPED
from ...wire.record import NO_AFTERMATH, Aftermath
from ..shared import AWAITED_PID, AWAITED_SINCE_MS, AWAITED_START, WORD_MASK, Shared
from .reaper import Job, Reapers


class Awaited:
    """At most one victim. `owned` is False in observe mode, where the roster keeps the pidfd."""

    def __init__(self, shared: Shared, reapers: Reapers) -> None:
        self.shared = shared
        self.reapers = reapers
        self.pid = 0
        self.pidfd = -1
        self.owned = False
        self.struck_ns = 0
        self.job: Job | None = None
        self._after: Aftermath = NO_AFTERMATH

    def begin(self, pid: int, start_ticks: int, pidfd: int, owned: bool, struck_ns: int) -> None:
        """Await a freshly struck victim; a former one that has not died is given up."""
        if self.pid:
            self._settle(0)
        self.pid = pid
        self.pidfd = pidfd
        self.owned = owned
        self.struck_ns = struck_ns
        self.job = self.reapers.reap(pidfd) if owned else None
        words = self.shared.words
        words[AWAITED_SINCE_MS] = (struck_ns // 1_000_000) & WORD_MASK
        words[AWAITED_START] = start_ticks & WORD_MASK
        words[AWAITED_PID] = pid

    def alive(self) -> int:
        """Snapshot.victim_alive."""
        if not self.pid:
            return 0
        job = self.job
        if job is None or job.busy or job.pidfd != self.pidfd:
            return 1
        return REAPED if job.result == 0 else 1

    def died(self, now_ns: int) -> None:
        """The victim's pidfd has become readable."""
        self._settle(now_ns)

    def forget(self) -> None:
        """Nobody was ever struck (after the dry run)."""
        self.pid = 0
        self.pidfd = -1
        self.shared.words[AWAITED_PID] = 0
        self._after = NO_AFTERMATH

    def aftermath(self) -> Aftermath:
        """Of the last victim that is no longer awaited; told once."""
        after, self._after = self._after, NO_AFTERMATH
        return after

    def _settle(self, died_ns: int) -> None:
        job, reap_ns, result = self.job, 0, 0
        if job is not None and job.pidfd == self.pidfd and not job.busy:
            reap_ns, result = job.reap_ns, job.result
        self._after = Aftermath(self.pid, self.struck_ns, died_ns, reap_ns, result)
        if self.owned:
            self.reapers.let_go(self.pidfd, job)
        self.pid = 0
        self.pidfd = -1
        self.job = None
        self.shared.words[AWAITED_PID] = 0

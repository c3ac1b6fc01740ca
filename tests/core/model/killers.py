"""Who relieves the machine: the policy in its loop, somebody who knows how many have to die, nobody."""

from __future__ import annotations

from lmkd_py.core import polling
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import conclude, judge
from lmkd_py.core.snapshot import NO_OUTCOME, Candidate, Outcome, Snapshot
from lmkd_py.core.state import INITIAL, PolicyState
from lmkd_py.core.vocabulary import ABSENT, Action, KillReason, Level, WakeupKind

from ..values import make_snapshot
from .memory import CHUNK_KB, MIB, Memory, Process

START_MS = 100_000  # the clock of the policy at the machine's start
FIXED_MIB = 64  # of RAM is never given back, so not part of the machine's


class Nobody:
    """The kernel alone."""

    def tick(self, memory: Memory, reclaimed: bool) -> None:
        """Nothing."""


class Oracle:
    """Kills as many at once as it was told, before anything happens."""

    def __init__(self, kills: int) -> None:
        self.left = kills

    def tick(self, memory: Memory, reclaimed: bool) -> None:
        for process in sorted(memory.processes, key=lambda one: -one.adj)[: self.left]:
            memory.strike(process, 0)
        self.left = 0


class Policy:
    """The real policy in the killer's loop. `reasons`: of its kills, in their order."""

    def __init__(self, config: PolicyConfig, death_ms: int = 40, sees_zram: bool = True) -> None:
        self.config = config
        self.sees_zram = sees_zram
        self.death_ms = death_ms
        self.reasons: list[KillReason] = []
        self.evaluations = 0
        self._state: PolicyState = INITIAL
        self._outcome = NO_OUTCOME
        self._poll = polling.IDLE
        self._awaited: Process | None = None

    def tick(self, memory: Memory, reclaimed: bool) -> None:
        """One turn of the loop: deaths, polls, and an event for each tick in which somebody reclaims."""
        now_ms = START_MS + memory.now_ms
        if self._awaited is not None and self._awaited.dead_ms:
            self._awaited = None
            if self._poll.holding:
                self._poll = polling.victim_gone(self._poll, now_ms)
        if polling.hold_expired(self._poll, now_ms, self.config):
            self._poll = polling.hold_over(self._poll, now_ms)
        if polling.poll_due(self._poll, now_ms):
            self._evaluate(memory, now_ms, WakeupKind.POLL)
        elif reclaimed and self._poll.handler < 0 and not self._poll.holding:
            self._evaluate(memory, now_ms, WakeupKind.EVENT)
        elif reclaimed:
            self._poll = polling.prolonged(self._poll, now_ms)

    def _evaluate(self, memory: Memory, now_ms: int, kind: WakeupKind) -> None:
        self.evaluations += 1
        judgement = judge(self._seen(memory, now_ms, kind), self._state, self.config)
        self._state, self._outcome = judgement.state, NO_OUTCOME
        if judgement.action == Action.KILL:
            living = {one.pid: one for one in memory.processes if not one.dies_ms}
            candidates = tuple(
                Candidate(one.pid, 0, one.adj, max(1, one.kb // 4), 1, one.pid) for one in living.values()
            )
            victims = conclude(judgement, candidates, self.config).victims
            if victims:
                victim = victims[0]
                self._awaited = living[victim.pid]
                memory.strike(self._awaited, self.death_ms)
                self.reasons.append(KillReason(judgement.reason))
                # All of it is the victim's own.
                self._outcome = Outcome(victim.pid, victim.adj, victim.rss_pages, now_ms, 0, 1, 0, 0)
        struck = 1 if self._outcome.pid else 0
        self._poll = polling.after(self._poll, judgement, struck, now_ms, kind, Level.MEDIUM, self.config)

    def _seen(self, memory: Memory, now_ms: int, kind: WakeupKind) -> Snapshot:
        stored_kb = len(memory.swapped) * CHUNK_KB
        return make_snapshot(
            now_ms=now_ms,
            kind=kind,
            outcome=self._outcome,
            victim_alive=1 if self._awaited else 0,
            mem_total_kb=memory.ram_kb + FIXED_MIB * MIB,
            mem_free_kb=memory.free_kb,
            cached_kb=200,
            active_anon_kb=len(memory.resident) * CHUNK_KB // 2,
            inactive_anon_kb=len(memory.resident) * CHUNK_KB // 2,
            active_file_kb=100,
            inactive_file_kb=100,
            swap_total_kb=memory.swap_kb,
            swap_free_kb=memory.swap_free_kb,
            nr_inactive_file_pages=25,
            nr_active_file_pages=25,
            kswapd_progress=memory.kswapd_scanned,
            direct_progress=memory.scanned,
            watermark_min_pages=memory.min_kb // 4,
            watermark_low_pages=memory.low_kb // 4,
            watermark_high_pages=memory.high_kb // 4,
            psi_mem_some_total_us=int(memory.stalled_ms * 1000),
            psi_mem_full_total_us=ABSENT,
            refault_anon_pages=memory.refaults,
            zram_stored_kb=stored_kb if self.sees_zram else ABSENT,
            zram_used_kb=int(stored_kb / memory.ratio) if self.sees_zram else ABSENT,
            zram_swap_kb=memory.swap_kb if self.sees_zram else 0,
        )

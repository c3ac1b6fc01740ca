"""The dry run: every rule, every victim branch and every syscall of the kill path once, before memory is locked.

What has run once has its code, its objects and its kernel buffers in place. Signals are 0, the target is the killer
itself, nobody reads the records, and loop and evaluator start afresh afterwards.
"""

from __future__ import annotations

import os
from time import monotonic_ns
from typing import Any

from ...core.config import PolicyConfig
from ...core.decide import conclude, judge
from ...core.snapshot import NO_OUTCOME, Candidate, Outcome, Snapshot
from ...core.state import INITIAL, PolicyState
from ...core.vocabulary import ABSENT, Compat, Level, WakeupKind
from ...kernel.process import read_rss_pages
from ...kernel.syscalls import pidfd_open, pidfd_send_signal, process_mrelease
from ...wire.record import NO_AFTERMATH, Record, Timings
from ..shared import CALLS, KILLS
from .evaluate import Evaluator
from .loop import Loop

AOSP = int(Compat.AOSP)
ROUNDS = 50  # enough for CPython's inline caches and for every buffer to reach its size


def rehearse(loop: Loop) -> None:
    """Run everything ROUNDS times; the state of loop and evaluator is as new afterwards."""
    evaluator = loop.evaluator
    pidfd = pidfd_open(os.getpid())
    fds = [os.open(f"/proc/self/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in ("statm", "oom_score_adj")]
    scratch = bytearray(64)
    try:
        for _ in range(ROUNDS):
            snapshot = _sample(evaluator)
            for bent in _shortages(snapshot):
                _decide(evaluator, bent)
            _strike_self(evaluator, pidfd, fds, scratch)
        _evaluate(loop, pidfd, fds)
    finally:
        for fd in (pidfd, *fds):
            os.close(fd)
    evaluator.state = INITIAL
    evaluator.outcome = NO_OUTCOME


class _Stage:
    """Stands in for the domain: the real reads, then the shortage that is rehearsed."""

    def __init__(self, evaluator: Evaluator) -> None:
        self.domain = evaluator.domain
        self.shortage: Snapshot = _sample(evaluator)

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        self.domain.sample(now_ms, kind, level, outcome, victim_alive, want_watermarks)
        return self.shortage


def _evaluate(loop: Loop, pidfd: int, fds: list[int]) -> None:
    """Whole evaluations from the loop down, as deep in calls as the armed ones: strikes at ourselves, with signal 0."""
    evaluator = loop.evaluator
    domain, striker, policy = evaluator.domain, evaluator.striker, evaluator.inbox.policy
    never, signal = striker.never, striker.signal
    stage = _Stage(evaluator)
    evaluator.domain = stage  # type: ignore[assignment]
    striker.signal = 0
    try:
        for shortage in _shortages(stage.shortage):
            stage.shortage = shortage
            for config in (policy, PolicyConfig(kill_heaviest_task=1), PolicyConfig(compat=AOSP)):
                evaluator.inbox.policy = config
                for striker.never in ((), never):
                    for sized in (0, 1):
                        _evaluate_once(loop, pidfd, fds, sized)
    finally:
        evaluator.domain, evaluator.inbox.policy = domain, policy
        striker.never, striker.signal = never, signal


def _evaluate_once(loop: Loop, pidfd: int, fds: list[int], sized: int) -> None:
    evaluator, roster = loop.evaluator, loop.evaluator.roster
    evaluator.state = INITIAL._replace(started=1)
    for row, adj in ((0, 900), (1, 100)):
        roster.add(row, (os.getpid(), 0, adj, 1, 1, 1), os.dup(pidfd))
        if sized:
            roster.size(row, os.dup(fds[0]), os.dup(fds[1]))
    loop.rehearse()
    roster.drop(0)
    roster.drop(1)
    roster.looked_at = 0
    evaluator.kills = loop.words[KILLS] = loop.words[CALLS] = 0
    evaluator.awaited.forget()


def _sample(evaluator: Evaluator) -> Snapshot:
    now_ms = monotonic_ns() // 1_000_000
    return evaluator.domain.sample(now_ms, WakeupKind.EVENT, Level.MEDIUM, NO_OUTCOME, 0, 1)


def _shortages(base: Snapshot) -> list[Snapshot]:
    """Snapshots that reach each row of the ladder, from a real one."""
    later = base._replace(
        now_ms=base.now_ms + 500,
        workingset_refault_pages=base.workingset_refault_pages + 10_000_000,
        pgscan_direct_pages=base.pgscan_direct_pages + 100,
    )
    low: dict[str, Any] = {
        "mem_free_kb": 1,
        "watermark_min_pages": 1000,
        "watermark_low_pages": 2000,
        "watermark_high_pages": 3000,
    }
    swap: dict[str, Any] = {"swap_total_kb": 1_000_000, "swap_free_kb": 1}
    struck = Outcome(os.getpid(), 900, 100, base.now_ms, 0, 1)
    return [
        base,
        base._replace(level=int(Level.LOW)),
        base._replace(kind=int(WakeupKind.VENDOR), vendor_reason=1, vendor_min_adj=900),
        later._replace(**low, outcome=struck),
        later._replace(level=int(Level.CRITICAL)),
        later._replace(**swap),
        later._replace(**low, **swap),
        later._replace(**low),
        later,
        later._replace(memevents=1, direct_reclaim_since_ms=1),
        base._replace(**low, now_ms=base.now_ms + 2500, kind=int(WakeupKind.POLL)),
        base._replace(outcome=struck, victim_alive=1),
    ]


def _decide(evaluator: Evaluator, snapshot: Snapshot) -> None:
    state: PolicyState = INITIAL._replace(started=1, killed_last=1)
    every = (Candidate(2, 0, 900, ABSENT, 1, 1), Candidate(3, 0, 100, 5, 1, 2), Candidate(4, 0, 100, 6, 1, 3))
    for config in (evaluator.inbox.policy, PolicyConfig(filecache_min_kb=1 << 40, direct_reclaim_threshold_ms=1)):
        judgement = judge(snapshot, state, config)
        decision = conclude(judgement, every, config)
        evaluator.ring.rehearse(
            Record(
                seq=0,
                trigger=ABSENT,
                observe=1,
                layers=0,
                config_generation=0,
                candidates_considered=len(every),
                snapshot=snapshot._replace(candidates=decision.victims),
                state=state,
                judgement=judgement,
                outcome=NO_OUTCOME,
                aftermath=NO_AFTERMATH,
                timings=Timings(0, 0, 0, 0, 0, 0),
                killer_pid=0,
            )
        )


def _strike_self(evaluator: Evaluator, pidfd: int, fds: list[int], scratch: bytearray) -> None:
    roster = evaluator.roster
    roster.add(0, (os.getpid(), 0, 900, ABSENT, 1, 1), os.dup(pidfd))
    roster.size(0, os.dup(fds[0]), os.dup(fds[1]))
    roster.move(0, 100, 2)
    roster.collect(0, 1000, 0)
    evaluator.striker.strike(0)  # refuses: never itself
    roster.drop(0)
    roster.looked_at = 0
    read_rss_pages(fds[0], scratch)
    pidfd_send_signal(pidfd, 0)
    process_mrelease(-1)

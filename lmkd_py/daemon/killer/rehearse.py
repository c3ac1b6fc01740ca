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
from ...core.numbers import STEADY
from ...core.polling import IDLE
from ...core.snapshot import NO_OUTCOME, Candidate, Outcome, Snapshot
from ...core.state import INITIAL, PolicyState
from ...core.vocabulary import ABSENT, Level, PolicyKind, WakeupKind
from ...kernel.acting.process import read_rss_pages
from ...kernel.acting.syscalls import pidfd_open, pidfd_send_signal, process_mrelease
from ...wire.record import NO_AFTERMATH, Record, Timings
from ..shared import CALLS, KILLS
from .evaluate import Evaluator
from .loop import Loop

AOSP_EXACT = int(PolicyKind.AOSP_EXACT)
ROUNDS = (
    4  # of 42 decisions (70 with STEADY): enough for inline caches and buffers; more of them only delay the next killer
)


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
            _check_events(evaluator, snapshot)
            _strike_self(evaluator, pidfd, fds, scratch)
        _evaluate(loop, pidfd, fds)
    finally:
        for fd in (pidfd, *fds):
            os.close(fd)
    evaluator.state = INITIAL
    evaluator.outcome, evaluator.seen = NO_OUTCOME, None
    evaluator.demoted = False
    if evaluator.meter is not None:
        evaluator.meter.restart()


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
        shortages = _shortages(stage.shortage)
        others = (PolicyConfig(kill_heaviest_task=1), PolicyConfig(kind=AOSP_EXACT), PolicyConfig(kind=STEADY))
        for config in (policy, *others):
            evaluator.inbox.policy = config
            # Each way a victim can be struck or spared, under the policy in force; one of each under the others. Once:
            # what a strike does does not depend on what led to it, and all of this delays the next killer.
            ways = [((), 0), (never, 1)]
            if config is policy:
                ways = [(ours, sized) for ours in ((), never) for sized in (0, 1, 2)]
            for stage.shortage in shortages:
                striker.never = ()
                if _evaluate_once(loop, pidfd, fds, 1) and ways:
                    for striker.never, sized in ways:
                        _evaluate_once(loop, pidfd, fds, sized)
                    ways = []
    finally:
        evaluator.domain, evaluator.inbox.policy = domain, policy
        striker.never, striker.signal = never, signal


def _evaluate_once(loop: Loop, pidfd: int, fds: list[int], sized: int) -> bool:
    """True if it came to a kill."""
    evaluator, roster = loop.evaluator, loop.evaluator.roster
    evaluator.state = INITIAL._replace(started=1)
    # With STEADY the first row, which is as large as we are, goes before one of a page.
    steady = evaluator.inbox.policy.kind == STEADY and sized == 1
    if steady:
        roster.add(2, (os.getpid(), 0, 901, 1, 1, 1), os.dup(pidfd))
    for row, adj in ((0, 900), (1, 100)):
        roster.add(row, (os.getpid(), 0, adj, 1, 1, 1), os.dup(pidfd))
        if sized == 1:
            roster.size(row, os.dup(fds[0]), os.dup(fds[1]))
        elif sized:
            roster.pin(row, os.dup(fds[1]))
    loop.rehearse()
    roster.drop(0)
    roster.drop(1)
    roster.drop(2)
    roster.looked_at = 0
    kills = loop.words[CALLS] > 0
    evaluator.kills = loop.words[KILLS] = loop.words[CALLS] = 0
    evaluator.awaited.forget()
    return kills


def _sample(evaluator: Evaluator) -> Snapshot:
    now_ms = monotonic_ns() // 1_000_000
    return evaluator.domain.sample(now_ms, WakeupKind.EVENT, Level.MEDIUM, NO_OUTCOME, 0, 1)


def _shortages(base: Snapshot) -> list[Snapshot]:
    """Snapshots that reach each row of the ladder, from a real one."""
    later = base._replace(
        now_ms=base.now_ms + 500,
        workingset_refault_pages=base.workingset_refault_pages + 10_000_000,
        direct_progress=base.direct_progress + 100,
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
        later._replace(level=int(Level.CRITICAL), event_stall_us=1, event_threshold_us=2),
        base._replace(**low, hangs=1, metered_level=int(Level.CRITICAL)),
        later._replace(**low, watermark_boost_pages=1, zram_stored_kb=1 << 20, zram_used_kb=1 << 18),
    ]


def _decide(evaluator: Evaluator, snapshot: Snapshot) -> None:
    state: PolicyState = INITIAL._replace(started=1, killed_last=1)
    every = (Candidate(2, 0, 900, ABSENT, 1, 1), Candidate(3, 0, 100, 5, 1, 2), Candidate(4, 0, 100, 6, 1, 3))
    futile = state._replace(victim_kb=1 << 40, victim_dead_ms=1, futile_kills=9, futile_kb=1 << 40)
    rare = PolicyConfig(filecache_min_kb=1 << 40, direct_reclaim_threshold_ms=1)
    steady, stalling = PolicyConfig(kind=STEADY), _stalling(snapshot, state)
    dying = stalling._replace(dying_kb=1)
    policies = ((evaluator.inbox.policy, state), (rare, state), (PolicyConfig(), futile))
    for config, before in (*policies, (steady, futile), (steady, stalling), (steady, dying)):
        judgement = judge(snapshot, before, config)
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
                left_out=evaluator.ring.left_out(),
            )
        )


def _stalling(snapshot: Snapshot, state: PolicyState) -> PolicyState:
    """One bad window of STEADY lies behind, and another ends now."""
    return state._replace(
        killed_last=0,
        stall_since_ms=snapshot.now_ms - 1000,
        stall_some_us=max(0, snapshot.psi_mem_some_total_us - 900_000),
        stall_file_pages=max(0, snapshot.workingset_refault_pages - 10_000_000),
        stall_windows=1,
        stall_verdict=1,
        stall_kills=2,
    )


def _check_events(evaluator: Evaluator, snapshot: Snapshot) -> None:
    evaluator.seen = snapshot
    polls = IDLE._replace(handler=int(Level.MEDIUM), last_ms=snapshot.now_ms)
    for index, trigger in enumerate(evaluator.triggers):
        evaluator.is_borne_out(index)
        evaluator.comes_soon(trigger, polls, snapshot.now_ms)
        if evaluator.meter is not None and trigger.stall_us:
            evaluator._checked(snapshot, evaluator.meter, trigger)
            evaluator._metered(snapshot, evaluator.meter)


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

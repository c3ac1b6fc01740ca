"""One evaluation: pinned reads, decide(), strike, record. Returns what the event loop needs to know.

Everything called here was opened and sized at start; a failure is a number in the record, not an exception.
"""

from __future__ import annotations

from time import monotonic_ns

from ...core import polling
from ...core.config import PolicyConfig
from ...core.decide import conclude, judge
from ...core.decision import Judgement
from ...core.growth import borne_out
from ...core.numbers import AOSP_EXACT, CRITICAL_LEVEL, EVENT, KILL, STEADY
from ...core.snapshot import NO_OUTCOME, Candidate, Outcome, Snapshot
from ...core.state import INITIAL, PolicyState
from ...core.victims import next_victim
from ...core.vocabulary import ABSENT, ADJ_MAX
from ...core.watermarks import cached_marks, sank, wants_watermarks
from ...kernel.sensing.domain import Domain
from ...kernel.sensing.triggers import StallMeter, Trigger
from ...kernel.sensing.triggers.bpf_kick import free_pages
from ...kernel.sensing.triggers.trigger import ANSWERED
from ...wire.record import CANDIDATE_ROWS, Record, Timings
from ..shared import DEMOTED, STRIKING_ADJ, STRIKING_PID, STRIKING_SEQ, STRIKING_START, WORD_MASK
from .inbox import Inbox
from .ring import Ring
from .roster import NOBODY, Roster
from .strike import NOT_EXPENDABLE, Striker, Struck
from .victim import Awaited

MAX_ATTEMPTS = 64  # strikes in one evaluation; each failure removes its row, so this bounds one wakeup, not the search


class Evaluator:
    """Holds the policy's memory between evaluations: `state` and the last `outcome`."""

    def __init__(
        self, domain: Domain, inbox: Inbox, striker: Striker, awaited: Awaited, ring: Ring, meter: StallMeter | None
    ) -> None:
        self.domain = domain
        self.triggers: list[Trigger] = []  # as the header names them
        self.inbox = inbox
        self.roster: Roster = inbox.roster
        self.striker = striker
        self.awaited = awaited
        self.ring = ring
        self.meter = meter
        self.layers = 0
        self.meter_index = ABSENT  # of the metering among the header's triggers
        self.killer_pid = 0
        self.state: PolicyState = INITIAL
        self.outcome: Outcome = NO_OUTCOME
        self.kills = 0
        self.demoted = False  # the last event was one that the totals do not bear out
        self.seen: Snapshot | None = None  # at the last evaluation
        self.hangs = 0  # how often the domain was found to hang
        self.floor = ABSENT  # of the last verdict: min_adj
        self._considered: tuple[Candidate, ...] = ()
        self._rank_ns = 0

    def evaluate(
        self, woke_ns: int, kind: int, level: int, trigger: int, metered: bool = False
    ) -> tuple[Judgement, Outcome, Snapshot]:
        """Evaluate once: the judgement, what came of it, and what it was made from.

        Of an event of PSI the meter says what the totals know of it; of another wakeup, whether they make it an event.
        """
        began_ns = monotonic_ns()
        now_ms = began_ns // 1_000_000
        config = self.inbox.policy
        before = self.state
        # The awaited victim's pidfd is in the loop's poll set: had it died, it would not be awaited any more.
        alive = self.awaited.alive()
        snapshot = self.domain.sample(now_ms, kind, level, self.outcome, alive, wants_watermarks(before, now_ms))
        if self.hangs:
            snapshot = snapshot._replace(hangs=self.hangs)
        meter = self.meter
        noted = False
        self.demoted = False
        if meter is not None:
            if kind == EVENT and trigger >= 0 and self.triggers[trigger].stall_us:
                snapshot = self._checked(snapshot, meter, self.triggers[trigger])
            elif metered:
                sampled, noted = snapshot, True
                snapshot = self._metered(sampled, meter)
                if snapshot is not sampled:
                    trigger = self.meter_index
        read_ns = monotonic_ns()
        judgement = judge(snapshot, before, config)
        judge_ns = monotonic_ns()
        self._considered = ()
        self._rank_ns = judge_ns
        looked_at = self.roster.looked_at
        outcome = self._strike(judgement, now_ms, config) if judgement.action == KILL else NO_OUTCOME
        strike_ns = monotonic_ns()
        self.state = judgement.state
        self.seen = snapshot
        self.floor = judgement.min_adj
        self.outcome = outcome
        self.ring.write(
            Record(
                seq=self.ring.seq,
                trigger=trigger,
                observe=0 if self.striker.signal else 1,
                layers=self.layers,
                config_generation=self.inbox.generation,
                candidates_considered=self.roster.looked_at - looked_at,
                snapshot=snapshot._replace(candidates=self._considered) if self._considered else snapshot,
                state=before,
                judgement=judgement,
                outcome=outcome,
                aftermath=self.awaited.aftermath(),
                timings=Timings(
                    woke_ns,
                    began_ns - woke_ns,
                    read_ns - began_ns,
                    judge_ns - read_ns,
                    self._rank_ns - judge_ns,
                    strike_ns - self._rank_ns,
                ),
                killer_pid=self.killer_pid,
                left_out=self.ring.left_out(),
            )
        )
        if meter is not None and not noted:  # nobody waits for it
            meter.note(now_ms, snapshot.psi_mem_some_total_us, snapshot.psi_mem_full_total_us)
        return judgement, outcome, snapshot

    def _metered(self, snapshot: Snapshot, meter: StallMeter) -> Snapshot:
        # Without CAP_SYS_RESOURCE a PSI trigger may be 2 s late: the stall read from `total=` raises the event here.
        some_us, full_us = snapshot.psi_mem_some_total_us, snapshot.psi_mem_full_total_us
        level = meter.update(snapshot.now_ms, some_us, full_us)
        if level == ABSENT:
            return snapshot
        stall_us, wanted_us = meter.measured(level, snapshot.now_ms, full_us if level == CRITICAL_LEVEL else some_us)
        return snapshot._replace(metered_level=level, event_stall_us=stall_us, event_threshold_us=wanted_us)

    def _checked(self, snapshot: Snapshot, meter: StallMeter, trigger: Trigger) -> Snapshot:
        # The kernel's own growth is not to be trusted: the totals say how long tasks really stalled.
        level = trigger.level
        total_us = snapshot.psi_mem_full_total_us if level == CRITICAL_LEVEL else snapshot.psi_mem_some_total_us
        stall_us, wanted_us = meter.check(level, snapshot.now_ms, total_us, trigger.stall_us, trigger.window_ms)
        self.demoted = self.inbox.policy.kind != AOSP_EXACT and not borne_out(stall_us, wanted_us)
        return snapshot._replace(event_stall_us=stall_us, event_threshold_us=wanted_us)

    def comes_soon(self, trigger: Trigger, poll: polling.PollState, now_ms: int) -> bool:
        """Is it a kick that need not be evaluated, since a poll will be?

        Not where free memory has fallen below a watermark meanwhile: that may be a verdict, and the poll up to 75 ms
        away. Between two polls that happens three times at most.
        """
        if trigger.drain != ANSWERED or not polling.looks_soon(poll, now_ms):
            return False
        return self.seen is None or not sank(self.seen, free_pages(trigger), cached_marks(self.state))

    def is_borne_out(self, index: int) -> bool:
        """In stand-by, where nothing is evaluated: is the event of trigger `index` one that the totals bear out?"""
        trigger, meter = self.triggers[index], self.meter
        if meter is None or not trigger.stall_us:
            return True
        now_ms = monotonic_ns() // 1_000_000
        some_us, full_us = self.domain.stall_totals()
        total_us = full_us if trigger.level == CRITICAL_LEVEL else some_us
        told = meter.check(trigger.level, now_ms, total_us, trigger.stall_us, trigger.window_ms)
        meter.note(now_ms, some_us, full_us)
        return borne_out(*told)

    def _strike(self, judgement: Judgement, now_ms: int, config: PolicyConfig) -> Outcome:
        # The usual case first, with as little code as can be, since all of it is cold by now: where age decides, the
        # slot's own order is the ranking. What the record tells of the runners-up is looked up behind the signal.
        roster, striker = self.roster, self.striker
        relieves = config.kind == STEADY
        attempts = error = 0
        while attempts < MAX_ATTEMPTS:
            row = roster.oldest_expendable(judgement.min_adj, config.kill_heaviest_task)
            if row == NOBODY:
                break
            before = roster.relief(row, judgement.min_adj, config.relief_times) if relieves else None
            row = before[0] if before else row
            roster.looked_at += 1
            self._announce(row)
            struck = striker.strike(row)
            attempts, error = attempts + 1, struck.error
            if error == 0:
                victim = before[1] if before else roster.candidate(row, 0)
                self._struck(row, victim)
                others = roster.collect(judgement.min_adj, before[2].adj if before else victim.adj, 0)
                told = [one for one in others.values() if one.pid != victim.pid]
                if before:
                    told = [before[2], *told[1:]]  # with the size it was passed over for
                self._considered = conclude(judgement, (victim, *told), config).victims[:CANDIDATE_ROWS]
                return self._outcome(row, victim, now_ms, attempts, struck)
            self._passed_over(row, struck)
            if not relieves:
                break
        return self._search(judgement, now_ms, config, attempts, error)

    def _search(self, judgement: Judgement, now_ms: int, config: PolicyConfig, attempts: int, error: int) -> Outcome:
        """Ranked victims one after the other, tier by tier, until one is struck."""
        roster, striker, min_adj = self.roster, self.striker, judgement.min_adj
        ceiling = ADJ_MAX
        while attempts < MAX_ATTEMPTS and ceiling >= max(0, min_adj):
            found = roster.collect(min_adj, ceiling, config.kill_heaviest_task)
            if not found:
                break
            victims = conclude(judgement, tuple(found.values()), config).victims
            self._considered = victims[:CANDIDATE_ROWS]
            self._rank_ns = monotonic_ns()
            if not victims:
                ceiling = min(candidate.adj for candidate in found.values()) - 1  # all of size 0: the next slots
                continue
            rows = {candidate.pid: row for row, candidate in found.items()}
            index = 0
            while index >= 0 and attempts < MAX_ATTEMPTS:
                victim = victims[index]
                self._announce(rows[victim.pid])
                struck = striker.strike(rows[victim.pid])
                attempts += 1
                error = struck.error
                if error == 0:
                    self._struck(rows[victim.pid], victim)
                    return self._outcome(rows[victim.pid], victim, now_ms, attempts, struck)
                self._passed_over(rows[victim.pid], struck)
                index = next_victim(victims, index, error, struck.rss_pages, config)
            if config.kind == AOSP_EXACT:
                break  # a dead record ends the scan with its slot
        return Outcome(0, 0, ABSENT, now_ms, error, attempts) if attempts else NO_OUTCOME

    def _outcome(self, row: int, victim: Candidate, now_ms: int, attempts: int, struck: Struck) -> Outcome:
        swap_pages = self.roster.swap[row]
        return Outcome(victim.pid, victim.adj, struck.rss_pages, now_ms, 0, attempts, swap_pages, struck.shared_pages)

    def _announce(self, row: int) -> None:
        # Who ends us between the signal and its record must not make the record's loss go unnoticed.
        roster, words = self.roster, self.ring.shared.words
        words[STRIKING_SEQ] = self.ring.head & WORD_MASK
        words[STRIKING_START] = roster.start[row] & WORD_MASK
        words[STRIKING_ADJ] = roster.adj[row] & WORD_MASK
        words[STRIKING_PID] = roster.pid[row]

    def _passed_over(self, row: int, struck: Struck) -> None:
        if struck.error == NOT_EXPENDABLE:
            self.roster.move(row, struck.seen_adj, self.roster.age[row])
            self.ring.shared.words[DEMOTED] += 1
        else:
            self.roster.drop(row)

    def _struck(self, row: int, victim: Candidate) -> None:
        owned = bool(self.striker.signal)
        pidfd = self.roster.take(row) if owned else self.roster.pidfd[row]
        self.awaited.begin(victim.pid, victim.start_ticks, pidfd, owned, monotonic_ns())
        self.kills += 1

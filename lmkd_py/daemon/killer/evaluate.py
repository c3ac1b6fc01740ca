"""One evaluation: pinned reads, decide(), strike, record. Returns what the event loop needs to know.

Everything called here was opened and sized at start; a failure is a number in the record, not an exception.
"""

from __future__ import annotations

from time import monotonic_ns

from ...core.config import PolicyConfig
from ...core.decide import conclude, judge
from ...core.decision import Judgement
from ...core.snapshot import NO_OUTCOME, Candidate, Outcome, Snapshot
from ...core.state import INITIAL, PolicyState
from ...core.victims import next_victim
from ...core.vocabulary import ABSENT, ADJ_MAX, Action, Compat, WakeupKind
from ...core.watermarks import wants_watermarks
from ...kernel.domain import Domain
from ...kernel.triggers import StallMeter
from ...wire.record import CANDIDATE_ROWS, Record, Timings
from ..shared import DEMOTED
from .inbox import Inbox
from .ring import Ring
from .roster import NOBODY, Roster
from .strike import NOT_EXPENDABLE, Striker
from .victim import Awaited

KILL = int(Action.KILL)
EVENT = int(WakeupKind.EVENT)
AOSP = int(Compat.AOSP)
MAX_ATTEMPTS = 64  # strikes in one evaluation; each failure removes its row, so this bounds one wakeup, not the search


class Evaluator:
    """Holds the policy's memory between evaluations: `state` and the last `outcome`."""

    def __init__(
        self, domain: Domain, inbox: Inbox, striker: Striker, awaited: Awaited, ring: Ring, meter: StallMeter | None
    ) -> None:
        self.domain = domain
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
        self.hangs = 0  # how often the domain was found to hang; added to its reclaim from then on
        self._considered: tuple[Candidate, ...] = ()
        self._rank_ns = 0

    def evaluate(
        self, woke_ns: int, kind: int, level: int, trigger: int, metered: bool = False
    ) -> tuple[Judgement, Outcome, Snapshot]:
        """Evaluate once: the judgement, what came of it, and what it was made from (metering may raise its level)."""
        began_ns = monotonic_ns()
        now_ms = began_ns // 1_000_000
        config = self.inbox.policy
        before = self.state
        # The awaited victim's pidfd is in the loop's poll set: had it died, it would not be awaited any more.
        alive = 1 if self.awaited.pid else 0
        snapshot = self.domain.sample(now_ms, kind, level, self.outcome, alive, wants_watermarks(before, now_ms))
        if self.hangs:
            # Who waits in vain for memory is in direct reclaim, though nothing counts it any more.
            snapshot = snapshot._replace(pgscan_direct_pages=snapshot.pgscan_direct_pages + self.hangs)
        if metered and self.meter is not None:
            sampled = snapshot
            snapshot = self._metered(sampled, self.meter)
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
        self.outcome = outcome
        self.ring.write(
            Record(
                seq=self.ring.head,
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
            )
        )
        return judgement, outcome, snapshot

    def _metered(self, snapshot: Snapshot, meter: StallMeter) -> Snapshot:
        # Without CAP_SYS_RESOURCE a PSI trigger may be 2 s late: the stall read from `total=` raises the event here.
        level = meter.update(snapshot.now_ms, snapshot.psi_mem_some_total_us, snapshot.psi_mem_full_total_us)
        return snapshot if level == ABSENT else snapshot._replace(kind=EVENT, level=level)

    def _strike(self, judgement: Judgement, now_ms: int, config: PolicyConfig) -> Outcome:
        # The usual case first, with as little code as can be, since all of it is cold by now: where age decides, the
        # slot's own order is the ranking. What the record tells of the runners-up is looked up behind the signal.
        roster, striker = self.roster, self.striker
        row = roster.oldest_expendable(judgement.min_adj, config.kill_heaviest_task)
        attempts = error = 0
        if row != NOBODY:
            error = striker.strike(row)
            attempts = 1
            if error == 0:
                victim = roster.candidate(row, 0)
                self._struck(row, victim)
                others = roster.collect(judgement.min_adj, victim.adj, 0)
                self._considered = conclude(judgement, (victim, *others.values()), config).victims[:CANDIDATE_ROWS]
                return Outcome(victim.pid, victim.adj, striker.rss_pages, now_ms, 0, 1)
            self._passed_over(row, error)
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
                error = striker.strike(rows[victim.pid])
                attempts += 1
                if error == 0:
                    self._struck(rows[victim.pid], victim)
                    return Outcome(victim.pid, victim.adj, striker.rss_pages, now_ms, 0, attempts)
                self._passed_over(rows[victim.pid], error)
                index = next_victim(victims, index, error, striker.rss_pages, config)
            if config.compat == AOSP:
                break  # a dead record ends the scan with its slot
        return Outcome(0, 0, ABSENT, now_ms, error, attempts) if attempts else NO_OUTCOME

    def _passed_over(self, row: int, error: int) -> None:
        if error == NOT_EXPENDABLE:
            self.roster.move(row, self.striker.seen_adj, self.roster.age[row])
            self.ring.shared.words[DEMOTED] += 1
        else:
            self.roster.drop(row)

    def _struck(self, row: int, victim: Candidate) -> None:
        owned = bool(self.striker.signal)
        pidfd = self.roster.take(row) if owned else self.roster.pidfd[row]
        self.awaited.begin(victim.pid, victim.start_ticks, pidfd, owned, monotonic_ns())
        self.kills += 1

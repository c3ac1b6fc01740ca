"""The daemon of a scenario: an event loop around the real judge(), conclude(), may_follow() and polling functions."""

from __future__ import annotations

from typing import Any

from lmkd_py.core import polling
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import conclude, judge
from lmkd_py.core.decision import Judgement
from lmkd_py.core.describe import describe
from lmkd_py.core.snapshot import NO_OUTCOME, Candidate, Outcome, Snapshot
from lmkd_py.core.state import INITIAL, PolicyState
from lmkd_py.core.victims import may_follow
from lmkd_py.core.vocabulary import ABSENT, Action, Level, WakeupKind
from lmkd_py.core.watermarks import watermarks_due

from .case import Evaluation, Kill, policy_config
from .files import Files
from .processes import Processes
from .schedule import Item, Over, Schedule

_LEVELS = {"some": Level.MEDIUM, "full": Level.CRITICAL}
_LEVEL_NAMES = {Level.MEDIUM: "medium", Level.CRITICAL: "critical"}
_SOURCES = {WakeupKind.EVENT: "event", WakeupKind.POLL: "poll", WakeupKind.VENDOR: "vendor"}
_OUTS = {
    Action.IGNORED: "ignored",
    Action.PENDING: "pending",
    Action.BAIL: "bail",
    Action.NONE: "none",
    Action.INVALID: "invalid",
}
_NO_VENDOR = (ABSENT, ABSENT)


class Daemon:
    """Runs one scenario; `evaluations` is what it did."""

    def __init__(self, case: dict[str, Any], kind: int) -> None:
        page_kb = case["page_kb"]
        self._memevents: str = case["memevents"]
        self._kind = kind
        self._files = Files(case["init"], page_kb, self._memevents == "on")
        self._processes = Processes(page_kb, case["cfg"]["per_app_memcg"])
        self._schedule = Schedule(case, self._files, self._processes)
        self._state: PolicyState = INITIAL
        self._poll = polling.IDLE
        self._outcome = NO_OUTCOME
        threshold_ms = 0 if self._memevents == "fail" else case["cfg"]["direct_reclaim_threshold_ms"]
        self._config: PolicyConfig = policy_config(case["cfg"], kind, threshold_ms)
        self.evaluations: list[Evaluation] = []
        for number, adj, rss_kb, swap_kb, death_ms, state in case["procs"]:
            self._processes.start(number, rss_kb, swap_kb, death_ms, state)
            self._processes.register(number, adj)

    def run(self) -> list[Evaluation]:
        """Go through the whole scenario, the way polling.py describes a turn of the loop."""
        fresh = 0  # evaluations whose wait is noted already
        try:
            while True:
                ms = polling.wait_ms(self._poll, self._schedule.now, self._config)
                ready = None
                if ms != 0:
                    if len(self.evaluations) > fresh:
                        fresh = len(self.evaluations)
                        self.evaluations[-1].wait = ms
                        self.evaluations[-1].hold = self._poll.holding
                    ready = self._schedule.wait(ms)
                self._turn(ready)
        except Over:
            return self.evaluations

    def _turn(self, ready: Item | None) -> None:
        now = self._schedule.now
        if polling.poll_due(self._poll, now):
            if self._poll.handler == polling.MEMEVENTS:
                self._poll_memevents(ready)
            else:
                self._evaluate(WakeupKind.POLL, self._poll.handler, _NO_VENDOR)
        elif ready is None and polling.hold_expired(self._poll, now, self._config):
            self._poll = polling.hold_over(self._poll, now)
            self._schedule.awaited = None
        if ready is None:
            return
        if ready.kind == "command":
            self._command(ready.body)
        elif ready.kind == "batch":
            for source, body in ready.body:
                if source == "mem":
                    self._reclaim_events(body)
                else:
                    self._evaluate(WakeupKind.EVENT, _LEVELS[body], _NO_VENDOR)
        else:
            self._schedule.awaited = None
            self._poll = polling.victim_gone(self._poll, now)

    def _command(self, operation: list[Any]) -> None:
        name, *values = operation
        if name == "reload":
            cfg = values[0]
            threshold_ms = cfg["direct_reclaim_threshold_ms"] if self._memevents == "on" else 0
            self._config = policy_config(cfg, self._kind, threshold_ms)
            self._processes.per_app_memcg = cfg["per_app_memcg"]
        elif name == "remove":
            self._processes.records.pop(values[0], None)
        else:
            if name == "new":
                self._processes.start(values[0], *values[2:])
            self._processes.register(values[0], values[1])
        self._poll = polling.touched(self._poll, self._schedule.now)

    def _reclaim_events(self, events: list[list[int]]) -> None:
        """One reading of the kernel's event source; a vendor request in it is evaluated at once."""
        now = self._schedule.now
        files = self._files
        vendor = False
        for number, *values in events:
            if number in (1, 2):
                files.direct_since_ms = now if number == 1 else 0
            elif number in (3, 4):
                files.kswapd_since_ms = now if number == 3 else 0
            elif number == 6:
                self._note_watermarks()
            elif number == 5:
                vendor = True
                self._evaluate(WakeupKind.VENDOR, ABSENT, (values[0], values[1]))
        if not vendor:
            self._poll = polling.touched(self._poll, now)
            if self._poll.handler == polling.MEMEVENTS:
                self._poll = self._poll._replace(last_ms=now)

    def _poll_memevents(self, ready: Item | None) -> None:
        """Nothing is evaluated; but the source is read, so what a batch holds of it is handled before the rest."""
        self._poll = polling.polled_memevents(self._poll, self._schedule.now)
        if ready is None or ready.kind != "batch":
            return
        for i, (source, body) in enumerate(ready.body):
            if source == "mem":
                self._reclaim_events(body)
                ready.body[i] = ("mem", [])

    def _note_watermarks(self) -> None:
        snapshot = self._files.snapshot(
            self._schedule.now, WakeupKind.ZONEINFO, ABSENT, self._outcome, self._poll.holding, _NO_VENDOR
        )
        self._state = judge(snapshot, self._state, self._config).state
        self._outcome = NO_OUTCOME

    def _evaluate(self, kind: int, level: int, vendor: tuple[int, int]) -> None:
        now = self._schedule.now
        before = self._state
        snapshot = self._files.snapshot(now, kind, level, self._outcome, self._poll.holding, vendor)
        judgement = judge(snapshot, before, self._config)
        self._state = judgement.state
        self._outcome = NO_OUTCOME
        kills: list[Kill] = []
        scanned: list[int] = []
        if judgement.action == Action.KILL:
            self._strike(judgement, snapshot, kills, scanned)
        elif judgement.action not in (Action.PENDING, Action.IGNORED):
            self._schedule.awaited = None
        self._poll = polling.after(self._poll, judgement, len(kills), now, kind, level, self._config)
        zi = None
        if kind != WakeupKind.VENDOR:
            zi = judgement.state.first_kill_done - before.first_kill_done
            if judgement.action in (Action.NONE, Action.KILL):
                zi += watermarks_due(before, now, snapshot.memevents)
        self.evaluations.append(
            Evaluation(
                now,
                self._schedule.step,
                _SOURCES[WakeupKind(kind)],
                None if kind == WakeupKind.VENDOR else _LEVEL_NAMES[Level(level)],
                _OUTS.get(Action(judgement.action)) or ("kill" if kills else "novictim"),
                tuple(kills),
                tuple(scanned),
                zi,
            )
        )

    def _strike(self, judgement: Judgement, snapshot: Snapshot, kills: list[Kill], scanned: list[int]) -> None:
        """Slot by slot, as sizes are read only where the scan gets; conclude() ranks, may_follow() says how on."""
        now = self._schedule.now
        self._schedule.awaited = None
        last: Candidate | None = None
        error = pages = attempts = 0
        for adj in self._processes.slots(judgement.min_adj):
            probe = Candidate(2, 0, adj, ABSENT, 0, 0)
            while last is None or may_follow(last, probe, error, pages, self._config):
                victims = conclude(
                    judgement, self._processes.candidates(adj, self._config, scanned), self._config
                ).victims
                if not victims:
                    break
                last = victims[0]
                attempts += 1
                strike = self._processes.strike(last.pid, now)
                error = strike.error
                if error:
                    self._outcome = self._outcome._replace(error=error, attempts=attempts)
                    continue
                pages = strike.rss_kb // snapshot.page_kb
                self._outcome = Outcome(last.pid, last.adj, pages, now, 0, attempts)
                self._schedule.awaited = strike.number
                self._schedule.signal_failed |= strike.stale
                kills.append(self._kill(judgement, snapshot, last, strike.number, strike.rss_kb, strike.swap_kb))

    def _kill(
        self, judgement: Judgement, snapshot: Snapshot, victim: Candidate, number: int, rss_kb: int, swap_kb: int
    ) -> Kill:
        return Kill(
            number,
            victim.adj,
            judgement.min_adj,
            judgement.reason,
            describe(judgement, snapshot, self._config),
            rss_kb,
            swap_kb,
            judgement.thrashing_pct,
            judgement.max_thrashing_pct,
            judgement.free_swap_kb,
        )

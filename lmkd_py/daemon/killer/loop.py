"""The armed loop: wait, drain the inbox, see who died, evaluate. The order within one wakeup is AOSP's.

What is asked of it: 0 wake-ups when idle, one evaluation an event, nothing that opens, forks, logs, sends or maps.
"""

from __future__ import annotations

import os
from time import monotonic_ns

from ...core import futile, polling
from ...core.numbers import EVENT, HELD, KILL, LOW_LEVEL, MEDIUM_LEVEL, POLL
from ...core.snapshot import Outcome
from ...core.vocabulary import ABSENT
from ...core.wakeup import announced
from ...kernel.acting.poll import POLLIN, PollSet
from ...kernel.protection.memalloc import MemallocWindow
from ...kernel.sensing.triggers import Trigger, fired, is_broken, mask_of
from ...kernel.sensing.triggers.trigger import ANSWERED, COUNTER_FILE, EVENTFD
from .. import shared as layout
from ..inherited import EXIT_DOMAIN_GONE, EXIT_STOPPED
from ..shared import Shared
from .evaluate import Evaluator
from .hang import Hang
from .stand_in import StandIn
from .warm import WarmTick

KICK_SLOT, VICTIM_SLOT, STEWARD_SLOT, TRIGGER_SLOT = 0, 1, 2, 3
LAYER_WINDOW = 1 << 4
METER_MS = 1000  # how long after vmpressure low the PSI totals are metered (without CAP_SYS_RESOURCE)


class Loop:
    """One killer from arming to its end; `run` returns its exit code."""

    def __init__(self, shared: Shared, evaluator: Evaluator, triggers: list[Trigger], kick_fd: int) -> None:
        self.shared = shared
        self.words = shared.words
        self.evaluator = evaluator
        self.awaited = evaluator.awaited
        self.inbox = evaluator.inbox
        self.triggers = evaluator.triggers = triggers
        self.kick_fd = kick_fd
        # Whether reclaim is a reason to read the totals: where PSI has no trigger, or one that may come late.
        psi = [trigger for trigger in triggers if trigger.stall_us]
        self._meters_low = evaluator.meter is not None and (not psi or any(trigger.stretched for trigger in psi))
        self.poll = polling.IDLE
        self.window: MemallocWindow | None = None  # open from a wakeup's first evaluation until after its last
        self.warm = WarmTick(evaluator, 0, 0)  # none, unless they are wanted and serve
        self.live = False
        self.meter_until_ms = 0
        self._suspect = False
        self._missed_slot = 0  # of the highest trigger that fired while another killer was live
        self._held_until_ms = 0  # end of the pause that the steward knows of
        self._unserved = False  # the last kill found nobody to strike
        self._offers = 0
        self._into = [bytearray(8)]
        self.polls = PollSet(TRIGGER_SLOT + len(triggers))
        self.polls.set(KICK_SLOT, kick_fd, POLLIN)
        self.polls.set(STEWARD_SLOT, evaluator.inbox.sock.fileno(), 0)  # only the hang-up
        # Slots by falling level, so that the first that is up is the one to evaluate; _indexes lead back to the header.
        order = sorted(range(len(triggers)), key=lambda index: -triggers[index].level)
        self._indexes = (0,) * TRIGGER_SLOT + tuple(order)
        self._levels = (ABSENT,) * TRIGGER_SLOT + tuple(triggers[index].level for index in order)
        self._bits = (0,) * TRIGGER_SLOT + tuple(mask_of([triggers[index]]) for index in order)
        self.stand_in = StandIn(self.words, mask_of(triggers))
        self._slots = tuple(range(TRIGGER_SLOT, TRIGGER_SLOT + len(triggers)))
        self.hang = Hang(triggers)
        for slot in self._slots:
            trigger = triggers[self._indexes[slot]]
            if trigger.drain != ANSWERED:  # that one has nobody to strike for while we stand by
                self.polls.set(slot, trigger.fd, trigger.poll_events)

    def run(self) -> int:
        """Until the steward says stop or the domain is gone."""
        words, inbox, reported = self.words, self.inbox, self.polls.reported
        while words[layout.MODE] != layout.STOP:
            if self.window is not None and self.window.is_open:
                self.window.end()
            now_ms = monotonic_ns() // 1_000_000
            timeout = polling.wait_ms(self.poll, now_ms, inbox.policy)
            if timeout < 0:
                self.evaluator.ring.settle()  # nothing will wake us soon
                if self.live and not self._unserved and self._goes_on_hanging():
                    continue
                timeout = self.stand_in.wait_ms(timeout, now_ms) if self.live else timeout
            ready = self._wait(timeout) if timeout else 0
            woke_ns = monotonic_ns()
            if ready > 0 and reported[KICK_SLOT]:
                os.readv(self.kick_fd, self._into)
            if words[layout.INBOX_HEAD] != words[layout.INBOX_TAIL]:
                inbox.drain()
            if not self.live:
                if words[layout.MODE] != layout.LIVE:
                    if ready > 0 and reported[STEWARD_SLOT]:
                        break  # the steward died before this killer was of use
                    self._stand_by(ready)
                    continue
                self._go_live(woke_ns)
            self._handle(ready, woke_ns)
            if self._unserved and inbox.offers != self._offers:
                self._offers = inbox.offers
                self._goes_on_hanging()
            if self.evaluator.domain.gone:
                break
        self.evaluator.ring.settle()
        return EXIT_DOMAIN_GONE if self.evaluator.domain.gone else EXIT_STOPPED

    def _wait(self, timeout_ms: int) -> int:
        if self.live and self.poll.handler >= 0:
            return self.warm.wait(self.polls, timeout_ms, max(MEDIUM_LEVEL, self.poll.handler))
        return self.polls.wait(timeout_ms)

    def rehearse(self) -> None:
        """One evaluation of the dry run, as deep in calls as an armed one; the loop and the ring stay as new."""
        self.warm.touch(MEDIUM_LEVEL)
        self._evaluate(monotonic_ns(), EVENT, MEDIUM_LEVEL, ABSENT)
        if self.window is not None:
            self.window.end()
        self.poll, self._unserved = polling.IDLE, False
        self.polls.clear(VICTIM_SLOT)
        self.evaluator.ring.settle()
        self.evaluator.ring.rewind()

    def _handle(self, ready: int, woke_ns: int) -> None:
        now_ms = woke_ns // 1_000_000
        if polling.poll_due(self.poll, now_ms):
            self._poll(woke_ns, self.poll.handler)
        slot = 0
        if ready > 0:
            if self.polls.reported[VICTIM_SLOT]:
                self._victim_died(woke_ns)
            slot = self._highest()
        if self._suspect:
            self._suspect = False
            self._evaluate(woke_ns, EVENT, LOW_LEVEL, ABSENT)
        kicked = slot and self.triggers[self._indexes[slot]].drain == ANSWERED and polling.looks_soon(self.poll, now_ms)
        if slot and self._levels[slot] > LOW_LEVEL and not kicked:
            self._evaluate_events(woke_ns, slot)
        else:
            if slot:
                self._low(woke_ns, self._indexes[slot])
            if polling.hold_expired(self.poll, now_ms, self.inbox.policy):
                self.poll = polling.hold_over(self.poll, now_ms)
        if self.stand_in.take_due(now_ms) and not slot and self.poll.handler < 0 and not self.poll.holding:
            self._evaluate(woke_ns, POLL, LOW_LEVEL, ABSENT)
        if slot:
            self.warm.event(woke_ns)
            self._quieten()

    def _evaluate_events(self, woke_ns: int, slot: int) -> None:
        # The highest event that is up, or the next one where the totals bear out that one only: what is looked at again
        # in the same instant has not moved since.
        other = slot + 1
        while other < len(self._levels) and self._levels[other] > LOW_LEVEL and not self.polls.reported[other]:
            other += 1
        if other < len(self._levels) and self._levels[other] > LOW_LEVEL:
            slot = self._highest_true(slot) or slot
        index = self._indexes[slot]
        self.evaluator.hangs += self.hang.tells(index, self.poll)
        self._evaluate(woke_ns, EVENT, self._levels[slot], index)
        if self.evaluator.demoted:
            # The kernel will not speak again within its window: the totals are read meanwhile.
            until_ms = woke_ns // 1_000_000 + self.triggers[index].window_ms + METER_MS
            self.meter_until_ms = max(self.meter_until_ms, until_ms)

    def _highest_true(self, slot: int) -> int:
        """`slot` or the next one whose event is true and above LOW; 0: none is."""
        while slot and self._levels[slot] > LOW_LEVEL:
            if self.evaluator.is_borne_out(self._indexes[slot]):
                return slot
            slot = self._highest(slot)
        return 0

    def _poll(self, woke_ns: int, level: int) -> None:
        self._evaluate(woke_ns, POLL, level, ABSENT)
        if not self.poll.holding and self.hang.lasts(woke_ns // 1_000_000, self.inbox.offers):
            self._give_anew(woke_ns)

    def _victim_died(self, woke_ns: int) -> None:
        self.polls.clear(VICTIM_SLOT)
        self.awaited.died(woke_ns)
        if self.poll.holding:  # else it was given up: noted, but nobody waits for it any more
            self.poll = polling.victim_gone(self.poll, woke_ns // 1_000_000)

    def _low(self, woke_ns: int, trigger: int) -> None:
        # Comes every few milliseconds while anything reclaims; it only has to keep somebody looking.
        now_ms = woke_ns // 1_000_000
        if self._meters_low:
            self.meter_until_ms = max(self.meter_until_ms, now_ms + METER_MS)
        if self.poll.handler >= 0 or self.poll.holding:
            self.poll = polling.prolonged(self.poll, now_ms)
        else:
            self._evaluate(woke_ns, EVENT, LOW_LEVEL, trigger)

    def _evaluate(self, woke_ns: int, kind: int, level: int, trigger: int) -> int:
        if self.window is not None and not self.window.is_open and self.window.begin() < 0:
            self._lose_window()
        metered = woke_ns // 1_000_000 <= self.meter_until_ms
        judgement, outcome, snapshot = self.evaluator.evaluate(woke_ns, kind, level, trigger, metered)
        policy, now_ms, struck = self.inbox.policy, snapshot.now_ms, 1 if outcome.pid else 0
        if judgement.action == KILL:
            self.words[layout.CALLS] = (self.words[layout.CALLS] + 1) & layout.WORD_MASK
        self.poll = polling.after(self.poll, judgement, struck, now_ms, *announced(snapshot), policy)
        if struck:
            self.polls.set(VICTIM_SLOT, self.awaited.pidfd, POLLIN)
            self.words[layout.KILLS] = self.evaluator.kills
            self.evaluator.ring.notify()
            self._unserved = False
            self.hang.over()
        elif judgement.action == KILL:
            self._unserved, self._offers = True, self.inbox.offers
            self.evaluator.ring.notify()  # the steward may find somebody
        elif judgement.action == HELD and futile.held_until_ms(judgement.state) != self._held_until_ms:
            self._held_until_ms = futile.held_until_ms(judgement.state)
            self.evaluator.ring.notify()  # the steward says what holds the memory
        elif self.evaluator.ring.is_due(now_ms):
            self.evaluator.ring.notify()
        return judgement.action

    def _lose_window(self) -> None:
        # It was granted when we were armed. On without it, and every record from here on says so.
        self.window = None
        self.words[layout.LAYERS] = self.evaluator.layers = self.evaluator.layers & ~LAYER_WINDOW

    def _goes_on_hanging(self) -> bool:
        """Where all tasks of the domain hang, no trigger would fire ever again: its last one counts as given anew.

        Asked when nothing else would wake us, and when candidates came after a kill that found none.
        """
        if not self.hang.is_there():
            self.hang.over()
            return False
        self._unserved = True  # once; until somebody is struck or comes
        self._offers = self.inbox.offers
        self._give_anew(monotonic_ns())
        return True

    def _give_anew(self, woke_ns: int) -> None:
        # The event that tells of it is gone by now.
        self.evaluator.hangs += 1
        is_kill = self._evaluate(woke_ns, EVENT, self.hang.level, self.hang.index) == KILL
        if is_kill and self._unserved and self.evaluator.floor == 0:
            self.hang.vain_offers = self.inbox.offers

    def _highest(self, after: int = 0) -> int:
        """Slot of the trigger with the highest level among those that fired, behind slot `after`; 0: none did."""
        reported = self.polls.reported
        for slot in self._slots:
            revents = reported[slot]
            if revents and slot > after:
                trigger = self.triggers[self._indexes[slot]]
                level = fired(trigger) if trigger.drain == COUNTER_FILE else trigger.level
                if is_broken(trigger, revents):
                    self.polls.clear(slot)
                    self.stand_in.lose(self._bits[slot])
                    self.evaluator.ring.notify()
                    self._suspect = True  # a sample tells whether the domain is gone, too
                elif level != ABSENT:
                    return slot
        return 0

    def _quieten(self) -> None:
        """Read the eventfds that are up, behind the evaluation: one that rises meanwhile is seen by the next poll.

        A kick is answered last, whatever the evaluation came to.
        """
        reported = self.polls.reported
        for slot in self._slots:
            if reported[slot]:
                trigger = self.triggers[self._indexes[slot]]
                if trigger.drain in (EVENTFD, ANSWERED):
                    fired(trigger)

    def _stand_by(self, ready: int) -> None:
        slot = self._highest() if ready > 0 else 0
        if slot:
            slot = self._highest_true(slot)
            if slot and not 0 < self._missed_slot <= slot:
                self._missed_slot = slot
            self._quieten()

    def _go_live(self, woke_ns: int) -> None:
        self.live = True
        self.polls.clear(STEWARD_SLOT)  # from here on it goes on without one, too
        for slot in self._slots:
            trigger = self.triggers[self._indexes[slot]]
            if trigger.drain == ANSWERED:  # the others are: setting them anew would forget what fired just now
                self.polls.set(slot, trigger.fd, trigger.poll_events)
        adopted = self.inbox.adopted
        if adopted is not None:
            # The former killer has struck already: no second victim for the same event.
            self.awaited.begin(adopted.pid, adopted.start_ticks, adopted.pidfd, True, adopted.struck_ms * 1_000_000)
            self.evaluator.outcome = Outcome(adopted.pid, 0, ABSENT, adopted.struck_ms, 0, 1)
            self.poll = polling.IDLE._replace(paused=MEDIUM_LEVEL, holding=1, struck_ms=adopted.struck_ms)
            self.polls.set(VICTIM_SLOT, adopted.pidfd, POLLIN)
        elif self._missed_slot:
            self._evaluate_events(woke_ns, self._missed_slot)

"""Triggers that broke while they were armed: told, and armed again once the kernel lets us.

They come back by a handover to another killer, not by handing descriptors to the one that lost them. A handover is what
a reload does anyway and keeps every promise of arming: the killer opens its own files, among them the pressure files
that broke with the triggers, makes its dry run, and only then relieves the other. The trace gets a header whose list of
triggers is true, and the armed killer never has to change what it polls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Callable

from ....core.config import Config, MonitorConfig
from ....core.notes import ArmedTrigger, Note
from ....core.vocabulary import NoteKind
from ....kernel.sensing.domain import open_domain
from ....kernel.sensing.triggers import NAMES, close_triggers, mask_of, names_in, open_triggers
from ... import shared as layout
from ..backoff import NEVER, Backoff
from .keeper import Killer

if TYPE_CHECKING:
    from typing import TypeVar

    from .owner import Owner

    AnyOwner = TypeVar("AnyOwner", bound=Owner)

PSI = ("psi some", "psi full")
KICK = 1 << NAMES.index("bpf kick")  # comes and goes with the strike in the kernel, which has notes of its own


class LostTriggers:
    """Of one configuration. `lost` has a bit for each, as kernel.triggers.NAMES. `had`: were there before it."""

    def __init__(self, had: int = 0) -> None:
        self.lost = 0
        self._had = had
        self._armed = 0
        self._retry = Backoff()
        self._refused = ""

    def missing_in(self, killer: Killer) -> int:
        """What this guard once had and `killer`, just armed, has not."""
        return self._had & ~killer.shared.words[layout.TRIGGERS]

    def tend(self, steward: AnyOwner, replace_guard: Callable[[AnyOwner, Config], str]) -> None:
        """Look at what the killer says, tell what is new, try again what is due."""
        self._look(steward)
        if not self.lost or not self._retry.is_due():
            return
        before = self.lost
        if openable(steward.guarded) & before:
            try:
                refused = replace_guard(steward, steward.config)
            except BaseException:
                self._retry.failed()
                raise
            if refused and refused != self._refused:
                steward.journal.note(NoteKind.REARM_REFUSED, refused)
            self._refused = refused
            self._look(steward)
        for bit, name in enumerate(NAMES):
            if before & ~self.lost & 1 << bit:
                steward.tell(Note(kind=NoteKind.TRIGGER_ARMED, number=bit, subject=name))
        if self.lost:
            self._retry.failed()

    def after_reload(self, former: MonitorConfig, wanted: MonitorConfig) -> LostTriggers:
        """For another configuration: of the same memory it still wants those of PSI that are lost now."""
        places = [(each.domain.kind, each.domain.path, each.domain.psi_path) for each in (former, wanted)]
        if places[0] != places[1]:
            return LostTriggers()
        stalls_ms = (wanted.triggers.psi_some_stall_ms, wanted.triggers.psi_full_stall_ms)
        return LostTriggers(self.lost & sum(1 << NAMES.index(name) for name, ms in zip(PSI, stalls_ms) if ms > 0))

    def wait_s(self) -> float:
        """Seconds until the next try."""
        return self._retry.left_s() if self.lost else NEVER

    def armed_among(self, triggers: tuple[ArmedTrigger, ...]) -> tuple[ArmedTrigger, ...]:
        """Of the header's list, which has the triggers that the killer armed, those that still are."""
        lost = names_in(self.lost & self._armed)
        return tuple(trigger for trigger in triggers if trigger.name not in lost)

    def notes(self) -> list[Note]:
        """For the status reply: one for each lost trigger, with the seconds until it is tried again."""
        left_s = round(self._retry.left_s())
        return [Note(kind=NoteKind.TRIGGER_AWAITED, number=left_s, subject=name) for name in names_in(self.lost)]

    def _look(self, steward: Owner) -> None:
        words = steward.killer.shared.words
        self._armed = words[layout.TRIGGERS]
        self._had |= words[layout.TRIGGERS] & ~KICK
        lost = (self._had & ~words[layout.TRIGGERS] | words[layout.BROKEN]) & ~KICK
        former, self.lost = self.lost, lost
        if not lost:
            self._retry.reset()
        elif not former:
            self._retry.failed()
        for bit, name in enumerate(NAMES):
            if lost & ~former & 1 << bit:
                steward.tell(Note(kind=NoteKind.TRIGGER_LOST, number=bit, subject=name))


def openable(config: Config) -> int:
    """Bits of the triggers that can be opened now; they are closed again."""
    try:
        domain = open_domain(config.monitor)
    except (OSError, ValueError):
        return 0
    try:
        triggers, _ = open_triggers(config.monitor, domain, config.policy.kind)
        mask = mask_of(triggers)
        close_triggers(triggers)
        return mask
    except OSError:
        return 0
    finally:
        domain.close()

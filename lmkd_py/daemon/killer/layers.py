"""Which layers of the memory guarantee this killer reaches while it arms, and what prevents the others.

What a machine refuses becomes a note and a missing bit, never a failure; --require-layer is for those who need a layer.
"""

from __future__ import annotations

import os

from ...core.notes import FRAME_SPARE_WANTED_BYTES, Note
from ...core.vocabulary import ABSENT, ADJ_MAX, NoteKind
from ...kernel.acting import syscalls
from ...kernel.acting.refused import refused
from ...kernel.bpf import VARIANT_NAMES, KillerGuard
from ...kernel.bpf.layout import EVENTS
from ...kernel.protection.memalloc import DEVICE, open_window
from ...kernel.protection.own_cgroup import leave_rt_quota, make_rt_quota, take_rt_quota
from ...kernel.protection.resident import make_resident
from ...kernel.sensing.domain import Domain
from ...kernel.sensing.triggers import Trigger, bpf_kick
from ..hurry import take_turns
from ..inherited import FIRST_FREE_FD, Inherited
from ..protect import protect
from .framestack import FRAMES_ON_HEAP
from .loop import LAYER_WINDOW, Loop

# Bits of `active`; the layer of the private pool (1 << 2) is the steward's.
KILL_PATH, RESIDENT, STRIKE, WINDOW = 1 << 0, 1 << 1, 1 << 3, LAYER_WINDOW


class LayerSetup:
    """Sets up the layers: `active` has a bit for each that works, `notes` one for each thing worth knowing."""

    def __init__(self, inherited: Inherited) -> None:
        self.active = KILL_PATH | inherited.layers
        self.notes = list(inherited.notes)
        self._monitor = inherited.config.monitor
        self._guarantee = inherited.config.monitor.guarantee
        self._attached = inherited.attached
        self._strikes_refused = inherited.strikes_refused

    def hurry(self) -> None:
        """The configured SCHED_FIFO priority for the calling thread. OSError where it is refused."""
        if self._guarantee.rt_priority:
            syscalls.sched_setscheduler(os.SCHED_FIFO, self._guarantee.rt_priority)

    def get_in_line(self) -> None:
        """Layer 1, first half: first in line for a CPU, and protected. Before all else that takes time."""
        priority = self._guarantee.rt_priority
        if not priority:
            self._note(NoteKind.RT_PRIORITY_OFF, 1)
            take_turns()
        else:
            try:
                quota = self._take_priority()
            except OSError as error:
                self.notes.append(refused(NoteKind.SCHED_FIFO_REFUSED, error, 1, number=priority))
            else:
                self.active |= RESIDENT
                if quota is not None:
                    self.notes.append(quota)
        protect(self.notes, (os.getpid(), os.getppid()))

    def _take_priority(self) -> Note | None:
        # What there is to say of the quota. A move among cpu cgroups takes longer than all the rest of the arming: the
        # steward makes it once we are live, unless the priority is refused without it.
        quota = make_rt_quota().note
        try:
            self.hurry()
            return quota
        except OSError:
            quota = take_rt_quota()
        try:
            self.hurry()
            return quota
        except OSError:
            leave_rt_quota()
        self.hurry()
        return Note(kind=NoteKind.CPU_CGROUP_GIVEN_UP, number=self._guarantee.rt_priority, layer=1)

    def lock(self) -> None:
        """Layer 1, second half: resident for good."""
        if not self._guarantee.lock_memory:
            self._lose(RESIDENT, Note(kind=NoteKind.LOCK_MEMORY_OFF, layer=1))
            return
        try:
            make_resident()
        except OSError as error:
            self._lose(RESIDENT, refused(NoteKind.MLOCKALL_REFUSED, error, 1))

    def kick(self, domain: Domain) -> list[Trigger]:
        """Layer 3: the kick as a trigger, with a strike behind it unless we only observe."""
        attached, monitor = self._attached, self._monitor
        if attached is None:
            if monitor.strike.enabled:
                self._note(NoteKind.STRIKE_REFUSED, 3, text=self._strikes_refused)
            else:
                self._note(NoteKind.STRIKE_OFF, 3)
            return []
        if monitor.observe or monitor.strike.min_adj > ADJ_MAX:
            self._note(NoteKind.STRIKE_KICKS_ONLY, 3)
        else:
            self.active |= STRIKE
            self._note(NoteKind.STRIKE, 3, subject=VARIANT_NAMES[attached.variant])
        for weakness in attached.notes:
            self._note(NoteKind.STRIKE_WEAKER, 3, text=weakness)
        guard = KillerGuard(attached.moved(FIRST_FREE_FD))
        domain.use_reclaims(guard.words, EVENTS)
        return [bpf_kick.trigger(guard, monitor)]

    def sample(self, domain: Domain) -> None:
        """Layer 0: every read of a sample, from files that allocate nothing. After kick()."""
        for file in domain.allocating():
            self._lose(KILL_PATH, Note(kind=NoteKind.SAMPLE_ALLOCATES, layer=0, subject=file))

    def open_window(self, loop: Loop) -> None:
        """Layer 4: the PF_MEMALLOC window, where the module is loaded."""
        try:
            loop.window = open_window()
        except FileNotFoundError:
            self._note(NoteKind.WINDOW_ABSENT, 4, subject=DEVICE)
        except OSError as error:
            self.notes.append(refused(NoteKind.WINDOW_REFUSED, error, 4))

    def keep_window(self, loop: Loop) -> None:
        """Layer 4 counts only if the dry run did not lose the window."""
        if loop.window is not None:
            self.active |= WINDOW

    def spare_frames(self, spare_bytes: int) -> None:
        """Layer 0: calls must not map memory for their frames."""
        if spare_bytes == ABSENT and FRAMES_ON_HEAP:
            return
        if spare_bytes >= FRAME_SPARE_WANTED_BYTES:
            self._note(NoteKind.FRAME_STACK, 0, number=spare_bytes)
            return
        kind = NoteKind.FRAME_STACK_UNKNOWN if spare_bytes == ABSENT else NoteKind.FRAME_STACK_SHORT
        self._lose(KILL_PATH, Note(kind=kind, layer=0, number=spare_bytes))

    def _note(self, kind: str, layer: int, text: str = "", subject: str = "", number: int = 0) -> None:
        self.notes.append(Note(0, kind, text, number, layer, 0, subject))

    def _lose(self, layers: int, why: Note) -> None:
        self.active &= ~layers
        self.notes.append(why)

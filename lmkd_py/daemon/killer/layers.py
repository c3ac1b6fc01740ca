"""Which layers of the memory guarantee this killer reaches while it arms, and in words what keeps it from the others.

What a machine refuses is a note and a missing bit, never a failure: whoever needs a layer says --require-layer.
"""

from __future__ import annotations

import os

from ...core.vocabulary import ABSENT, ADJ_MAX
from ...kernel import syscalls
from ...kernel.bpf import VARIANT_NAMES, KillerGuard
from ...kernel.bpf.layout import EVENTS
from ...kernel.domain import Domain
from ...kernel.memalloc import DEVICE, open_window
from ...kernel.own_cgroup import leave_rt_quota, take_rt_quota
from ...kernel.resident import make_resident
from ...kernel.triggers import Trigger, bpf_kick
from ..inherited import FIRST_FREE_FD, Inherited
from ..protect import protect
from .framestack import FRAMES_ON_HEAP, SPARE_WANTED_BYTES
from .loop import LAYER_WINDOW, Loop

# Bits of `active`; the layer of the private pool (1 << 2) is the steward's.
KILL_PATH, RESIDENT, STRIKE, WINDOW = 1 << 0, 1 << 1, 1 << 3, LAYER_WINDOW


class Layers:
    """`active` has a bit for each layer, `notes` a line for each thing worth knowing."""

    def __init__(self, inherited: Inherited) -> None:
        self.active = KILL_PATH | inherited.layers
        self.notes = list(inherited.notes)
        self._monitor = inherited.config.monitor
        self._arms = inherited.arms
        self._strikes_refused = inherited.strikes_refused

    def hurry(self) -> None:
        """The configured SCHED_FIFO priority for the calling thread. OSError where it is refused."""
        if self._monitor.rt_priority:
            syscalls.sched_setscheduler(os.SCHED_FIFO, self._monitor.rt_priority)

    def get_in_line(self) -> None:
        """Layer 1, first half: protected, and first in line for a CPU."""
        protect(self.notes, (os.getpid(), os.getppid()))
        priority = self._monitor.rt_priority
        if not priority:
            self.notes.append("rt_priority 0: not first in line")
            return
        quota = take_rt_quota()
        try:
            self.hurry()
        except OSError:
            leave_rt_quota()
            quota = f"own cpu cgroup given up: SCHED_FIFO {priority} is refused in it"
            try:
                self.hurry()
            except OSError as error:
                self.notes.append(f"SCHED_FIFO {priority} refused: {error.strerror}")
                return
        if quota:
            self.notes.append(quota)
        self.active |= RESIDENT

    def lock(self) -> None:
        """Layer 1, second half: resident for good."""
        if not self._monitor.lock_memory:
            self._lose(RESIDENT, "lock_memory 0: memory may be taken from us")
            return
        try:
            make_resident()
        except OSError as error:
            self._lose(RESIDENT, f"mlockall refused: {error.strerror}")

    def kick(self, domain: Domain) -> list[Trigger]:
        """Layer 3: the kick as a trigger, with a strike behind it unless we only observe."""
        arms, monitor = self._arms, self._monitor
        if arms is None:
            self.notes.append(f"no strike in the kernel: {self._strikes_refused}")
            return []
        if monitor.observe or monitor.strike_min_adj > ADJ_MAX:
            self.notes.append("no strike in the kernel: kicks only, as nobody may be struck")
        else:
            self.active |= STRIKE
            self.notes.append(f"strike in the kernel: {VARIANT_NAMES[arms.variant]}")
        self.notes += arms.notes
        guard = KillerGuard(arms.moved(FIRST_FREE_FD))
        domain.use_reclaims(guard.words, EVENTS)
        return [bpf_kick.trigger(guard, monitor)]

    def sample(self, domain: Domain) -> None:
        """Layer 0: every read of a sample, from files that allocate nothing. After kick()."""
        for file in domain.allocating():
            self._lose(KILL_PATH, f"each sample reads {file}, which allocates: no layer 0")

    def open_window(self, loop: Loop) -> None:
        """Layer 4: the PF_MEMALLOC window, where the module is loaded."""
        try:
            loop.window = open_window()
        except FileNotFoundError:
            self.notes.append(f"no PF_MEMALLOC window: no {DEVICE}; the module of device/module is not loaded")
        except OSError as error:
            words = f"{error.filename}: {error.strerror}" if error.filename else error.strerror
            self.notes.append(f"no PF_MEMALLOC window: {words}")

    def keep_window(self, loop: Loop) -> None:
        """The dry run may have lost it."""
        if loop.window is not None:
            self.active |= WINDOW

    def spare_frames(self, spare_bytes: int) -> None:
        """Layer 0: calls must not map memory for their frames."""
        if spare_bytes == ABSENT and FRAMES_ON_HEAP:
            return
        told = f"{spare_bytes} bytes to spare" if spare_bytes != ABSENT else "not found in this Python"
        if spare_bytes < SPARE_WANTED_BYTES:
            told += f", wanted {SPARE_WANTED_BYTES} bytes to spare: a call on the kill path may map memory"
            self.active &= ~KILL_PATH
        self.notes.append(f"frame stack: {told}")

    def _lose(self, layer: int, why: str) -> None:
        self.active &= ~layer
        self.notes.append(why)

"""Armed loops for the exerciser: in a cage, further down the stack, with a window; and the page they tell it by."""

from __future__ import annotations

import gc
import mmap
import os
from time import monotonic_ns

from lmkd_py.core.vocabulary import Level, WakeupKind
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.killer.framestack import FrameStack
from lmkd_py.daemon.killer.loop import Loop
from lmkd_py.daemon.killer.warm import WarmTick
from lmkd_py.kernel.protection import memalloc
from tests.daemon.cage import lock_up
from tests.daemon.shortages import SHAPES

# Words of the page that killer and this program share. MARKS: getallocatedblocks and gc runs at each MARK_EVERY.
TURNS, FAULTS, DEPTH, TOP, LOCKED_UP, BUSY, TICKS, TICKING, MARKS = range(9)
MARK_WORDS = 24
OPEN_FAILED, ALLOCATION_FAILED = 1, 2
FIOCLEX, NOBODYS = 0x5451, 0xA901  # an ioctl that every file takes and that changes nothing, and one that none takes

page = mmap.mmap(-1, 4096)
words = memoryview(page).cast("q")


class CagedLoop(Loop):
    """The armed loop inside a cage; at the end it tries what must fail there."""

    def run(self) -> int:
        lock_up()  # opens and closes a file of its own, so nobody may list ours before the word is set
        words[LOCKED_UP] = 1
        code = super().run()
        try:
            os.close(os.open("/proc/meminfo", os.O_RDONLY))
        except OSError:
            words[FAULTS] |= OPEN_FAILED
        try:
            bytearray(64 << 20)
        except MemoryError:
            words[FAULTS] |= ALLOCATION_FAILED
        return code


class CountedTick(WarmTick):
    """Counts the ticks, and marks what is read for one."""

    def tick(self, level: int) -> None:
        words[TICKS] += 1
        super().tick(level)

    def touch(self, level: int) -> None:
        words[TICKING] = 1
        super().touch(level)
        words[TICKING] = 0


class WindowLoop(Loop):
    """Counts the wakeups in which anything was evaluated, and asserts that it never sleeps with the window open."""

    def run(self) -> int:
        words[BUSY] = 0
        wait = self.polls.wait

        def closed(timeout_ms: int) -> int:
            assert self.window is None or not self.window.is_open
            return wait(timeout_ms)

        self.polls.wait = closed  # type: ignore[method-assign]
        return super().run()

    def _handle(self, ready: int, woke_ns: int) -> None:
        before = self._written()
        super()._handle(ready, woke_ns)
        words[BUSY] += before != self._written()

    def _written(self) -> tuple[int, int]:
        """Records, and the evaluations since then that have none."""
        ring = self.evaluator.ring
        return ring.head, ring.left_out().wakeups


class StandIn(memalloc.MemallocWindow):
    """A window on a real node whose ioctls change nothing, or are refused from arming on."""

    is_refused = False

    def begin(self) -> int:
        if self.is_refused and not gc.isenabled():
            memalloc.SET = NOBODYS
        return super().begin()


def open_stand_in() -> memalloc.MemallocWindow:
    """Replaces open_window() where there is no module."""
    memalloc.SET = memalloc.CLEAR = FIOCLEX
    return StandIn(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))


class SweepLoop(Loop):
    """Evaluates as deep down the stack as it is told, once for every shape and twice."""

    def run(self) -> int:
        stack = FrameStack()
        while self.words[layout.MODE] != layout.STOP:
            self.polls.wait(-1)
            try:
                os.readv(self.kick_fd, self._into)
            except BlockingIOError:
                continue
            if words[DEPTH] >= 0:
                self.sink(words[DEPTH], stack)
                words[DEPTH] = -1
        return 0

    def sink(self, depth: int, stack: FrameStack) -> None:
        """Recurse, one frame per level."""
        if depth:
            self.sink(depth - 1, stack)
            return
        words[TOP] = stack._words()[0]
        for _ in range(2 * len(SHAPES)):
            self.evaluator.evaluate(monotonic_ns(), int(WakeupKind.EVENT), int(Level.MEDIUM), -1)

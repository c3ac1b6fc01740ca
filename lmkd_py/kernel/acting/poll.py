"""poll(2) on a prebuilt array: how the killer waits for triggers, its inbox and its victims' deaths."""

from __future__ import annotations

import ctypes

from .libc import function

POLLIN, POLLPRI, POLLERR, POLLHUP, POLLNVAL = 0x1, 0x2, 0x8, 0x10, 0x20

_poll = function("poll", ctypes.c_int, ctypes.c_void_p, ctypes.c_ulong, ctypes.c_int)


class _PollFd(ctypes.Structure):
    _fields_ = (("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short))


class PollSet:
    """A fixed array of descriptors to wait for. Slots are set and cleared between waits; a cleared slot is skipped.

    wait() releases the GIL, builds no Python object but its result and allocates nothing in the kernel while at most
    INLINE_FDS slots are in use: the kernel keeps that many wait entries on its stack and takes a page for more.
    """

    INLINE_FDS = 9

    def __init__(self, size: int) -> None:
        self._array = (_PollFd * size)()
        self._address = ctypes.addressof(self._array)
        # The same memory as 16-bit words, four a slot (fd takes two): an item of this costs less than a field of that
        # or than a call.
        self.reported = memoryview(self._array).cast("B").cast("h")[3::4]  # revents by slot: 0 or what came
        self.size = size
        for slot in range(size):
            self._array[slot].fd = -1

    def set(self, i: int, fd: int, events: int) -> None:
        """Wait for `events` (POLLIN, POLLPRI) on `fd` in slot `i`."""
        slot = self._array[i]
        slot.fd = fd
        slot.events = events
        slot.revents = 0

    def clear(self, i: int) -> None:
        """Make slot `i` wait for nothing; poll(2) skips it."""
        slot = self._array[i]
        slot.fd = -1
        slot.revents = 0

    def wait(self, timeout_ms: int) -> int:
        """Number of ready slots, 0 at the timeout (-1 ms: none), or a negative errno (-EINTR: a signal came)."""
        ready: int = _poll(self._address, self.size, timeout_ms)
        return ready if ready >= 0 else -ctypes.get_errno()

    def revents(self, i: int) -> int:
        """What slot `i` reported in the last wait."""
        return self.reported[i]

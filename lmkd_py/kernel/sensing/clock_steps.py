"""Steps of CLOCK_REALTIME: somebody set it, or the machine was suspended. Then it has another distance to
CLOCK_MONOTONIC, by which records are dated.

A timer that never ends in practice, cancelled by the kernel at each step (TFD_TIMER_CANCEL_ON_SET, Linux 3.0).
"""

from __future__ import annotations

import ctypes
import os
import time

from ..acting.libc import function, oserror

CLOCK_REALTIME = 0
_FLAGS = os.O_NONBLOCK | os.O_CLOEXEC  # TFD_NONBLOCK, TFD_CLOEXEC
_ABSTIME, _CANCEL_ON_SET = 1, 2
_NEVER_S = (1 << 31) - 1 if ctypes.sizeof(ctypes.c_long) == 4 else 1 << 33  # 2038, 2242

_timerfd_create = function("timerfd_create", ctypes.c_int, ctypes.c_int, ctypes.c_int)
_timerfd_settime = function(
    "timerfd_settime", ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p
)


class ClockSteps:
    """`fd` is up (EPOLLIN) after a step; -1 where the kernel has no such timer."""

    def __init__(self) -> None:
        self.fd: int = _timerfd_create(CLOCK_REALTIME, _FLAGS)
        if self.fd >= 0:
            try:
                self._arm()
            except OSError:
                self.close()

    def stepped(self) -> bool:
        """Make `fd` quiet and wait for the next step. True if there was one. OSError where that is refused."""
        try:
            os.read(self.fd, 8)
        except BlockingIOError:
            return False
        except OSError:  # ECANCELED: the clock was set
            pass
        self._arm()
        return True

    def close(self) -> None:
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def _arm(self) -> None:
        # struct itimerspec: no interval; the value an absolute time
        spec = (ctypes.c_long * 4)(0, 0, _NEVER_S, 0)
        if _timerfd_settime(self.fd, _ABSTIME | _CANCEL_ON_SET, spec, None) < 0:
            raise oserror("timerfd_settime")


def both_clocks() -> tuple[int, int]:
    """(CLOCK_MONOTONIC, CLOCK_REALTIME) in ns at one instant: the closest of three pairs."""
    best = (0, 0, 1 << 62)
    for _ in range(3):
        before = time.monotonic_ns()
        real = time.time_ns()
        after = time.monotonic_ns()
        if after - before < best[2]:
            best = ((before + after) // 2, real, after - before)
    return best[0], best[1]

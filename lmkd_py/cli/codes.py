"""The exit codes of lmkctl beyond 0 (done), 1 (checked, and it is not so) and 2 (bad usage or input)."""

from __future__ import annotations

from ..host.errors import Fault

SOME_FAILED = 3
PIPE_CODE = 141  # as of a program that SIGPIPE ended
INTERRUPTED = 130
# Where all devices failed for one reason.
CODES = {
    Fault.OFFLINE: 5,
    Fault.UNAUTHORIZED: 5,
    Fault.NO_ROOT: 6,
    Fault.VERIFY: 7,
    Fault.TIMEOUT: 8,
    Fault.INCOMPATIBLE: 9,
    Fault.REVERTED: 10,
    Fault.INTERRUPTED: INTERRUPTED,
}

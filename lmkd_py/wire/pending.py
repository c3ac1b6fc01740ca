"""A config on probation: config.pending says whose push it is and until when it may stay unconfirmed.

Its time is over when CLOCK_BOOTTIME has passed the deadline (suspended time counts) or the boot id is another one: no
clock that a reboot sets back, or that a board without RTC begins anew, can prolong it. Who finds it over puts the
former config back: a timer on the device, the next verb of lmkctl, and the daemon itself before it guards.
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple, Optional

from .state_file import read_state_file

CONFIG, FORMER, PENDING = "config.bin", "config.previous", "config.pending"
MAX_BYTES = 1 << 12
_BOOT_ID = "/proc/sys/kernel/random/boot_id"


class Pending(NamedTuple):
    """One push that waits for its confirmation. had_former 0: there was no config.bin before it."""

    nonce: str = ""
    boot_id: str = ""
    deadline_s: float = 0.0  # CLOCK_BOOTTIME
    had_former: int = 1


def boottime_s() -> float:
    """Seconds since boot, suspended time included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def boot_id() -> str:
    """Of this boot; empty where the kernel does not tell."""
    try:
        fd = os.open(_BOOT_ID, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(fd, MAX_BYTES).decode("ascii", "replace").strip()
        finally:
            os.close(fd)
    except OSError:
        return ""


def encode_pending(pending: Pending) -> bytes:
    """The one line of the file: nonce, boot id, deadline, whether there was a former config."""
    nonce, boot, deadline_s, had_former = pending
    return f"{nonce or '-'} {boot or '-'} {deadline_s:.3f} {had_former}\n".encode()


def decode_pending(data: bytes) -> Pending:
    """What cannot be read belongs to nobody, and its time is over."""
    words = data.decode("utf-8", "replace").split()
    try:
        nonce, boot, deadline, had_former = words
        return Pending(nonce, "" if boot == "-" else boot, float(deadline), int(had_former != "0"))
    except ValueError:
        return Pending()


def read_pending(root: str) -> Optional[Pending]:
    """The push that waits; None where none does. OSError."""
    try:
        return decode_pending(read_state_file(os.path.join(root, PENDING), MAX_BYTES))
    except FileNotFoundError:
        return None


def left_s(pending: Pending) -> float:
    """Seconds it has left; 0 when its time is over."""
    if pending.boot_id != boot_id():
        return 0.0
    return max(0.0, pending.deadline_s - boottime_s())


def put_back(root: str, pending: Pending) -> None:
    """The former config in force again, on disk. Cut off at any point it can be done again. OSError.

    By rename alone, so that a full disk is no reason to keep a config that nobody confirmed.
    """
    config, former = os.path.join(root, CONFIG), os.path.join(root, FORMER)
    if not pending.had_former:
        _remove(config)
    elif os.path.exists(former):  # else it was done, but for the next line
        os.replace(former, config)
        sync_directory(root)
    _remove(os.path.join(root, PENDING))
    sync_directory(root)


def settle(root: str) -> bool:
    """Put the former config back if the time of an unconfirmed one is over; True if so. OSError."""
    pending = read_pending(root)
    if pending is None or left_s(pending) > 0.0:
        return False
    put_back(root, pending)
    return True


def write(path: str, data: bytes) -> None:
    """A whole file by rename, on disk, mode 0600. OSError leaves the former one."""
    new = path + ".new"
    _remove(new)  # of somebody who was cut off, with a mode of its own
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    except OSError:
        _remove(new)
        raise
    finally:
        os.close(fd)
    os.replace(new, path)
    sync_directory(os.path.dirname(path))


def sync_directory(path: str) -> None:
    """Make renames in this directory survive a power cut."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass

"""PSI triggers: some is MEDIUM, full is CRITICAL. One event a window at most, POLLPRI."""

from __future__ import annotations

import errno
import os

from ....core.config import MonitorConfig
from ....core.notes import Note
from ....core.vocabulary import Level, NoteKind
from ...acting.poll import POLLPRI
from ...acting.refused import refused
from ..domain.base import Domain
from .trigger import LEVEL_FD, Trigger

NAME = "psi"
# The kernel averages every 2 s. Without CAP_SYS_RESOURCE a trigger's window must be a multiple of that (Linux 6.4;
# older kernels refuse the unprivileged altogether).
_PERIOD_MS = 2000
_KERNEL_MAX_MS = 10_000


def stretch(stall_ms: int, window_ms: int) -> tuple[int, int]:
    """(stall, window) in ms with the window rounded up to a multiple of 2 s and the stall in proportion."""
    window = min(-(-window_ms // _PERIOD_MS) * _PERIOD_MS, _KERNEL_MAX_MS)
    return max(stall_ms * window // window_ms, 1), window


def register(path: str, kind: str, stall_ms: int, window_ms: int) -> int:
    """Open `path` with one trigger on it; the descriptor is the trigger. OSError names path and text."""
    text = f"{kind} {stall_ms * 1000} {window_ms * 1000}"
    fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode() + b"\0")  # the kernel takes the last byte for the end of the string
    except OSError as failure:
        os.close(fd)
        raise OSError(failure.errno, failure.strerror, f"write {text!r} to {path}") from None
    return fd


def _open(path: str, kind: str, level: int, stall_ms: int, window_ms: int) -> Trigger:
    name = f"psi {kind}"
    try:
        fd = register(path, kind, stall_ms, window_ms)
        settings = f"{stall_ms} ms in {window_ms} ms"
        return Trigger(name, fd, POLLPRI, level, LEVEL_FD, settings, stall_us=stall_ms * 1000, window_ms=window_ms)
    except OSError as failure:
        if failure.errno != errno.EINVAL or window_ms % _PERIOD_MS == 0:
            raise
    stall, window = stretch(stall_ms, window_ms)
    fd = register(path, kind, stall, window)
    settings = f"{stall} ms in {window} ms (stretched from {stall_ms}/{window_ms}: no CAP_SYS_RESOURCE)"
    return Trigger(name, fd, POLLPRI, level, LEVEL_FD, settings, stretched=1, stall_us=stall * 1000, window_ms=window)


def open_all(monitor: MonitorConfig, domain: Domain) -> tuple[list[Trigger], list[Note]]:
    """Both triggers where they are configured; a missing one leaves a note."""
    wanted = (
        (Level.MEDIUM, "some", monitor.triggers.psi_some_stall_ms),
        (Level.CRITICAL, "full", monitor.triggers.psi_full_stall_ms),
    )
    triggers: list[Trigger] = []
    missing: list[Note] = []
    for level, kind, stall_ms in wanted:
        if stall_ms <= 0:
            continue
        if not domain.psi_memory_path:
            missing.append(Note(kind=NoteKind.PRESSURE_FILE_ABSENT, subject=f"{NAME} {kind}"))
            continue
        try:
            triggers.append(_open(domain.psi_memory_path, kind, int(level), stall_ms, monitor.triggers.psi_window_ms))
        except OSError as failure:
            missing.append(refused(NoteKind.TRIGGER_REFUSED, failure, subject=f"{NAME} {kind}"))
    return triggers, missing

"""A loaded program to its tracepoint, and the link to its pin. Loader's child only."""

from __future__ import annotations

import errno
import fcntl
import os
import struct

from ..acting.syscalls import perf_event_open
from ..sensing.mounts import mount_points
from . import calls
from .pins import BPFFS, GUARD, LINK, LOG, WATCHES, unpin

MEMCG_RECLAIM, DIRECT_RECLAIM = "mm_vmscan_memcg_reclaim_begin", "mm_vmscan_direct_reclaim_begin"

_TRACEFS = ("/sys/kernel/tracing", "/sys/kernel/debug/tracing")
_PERF_TYPE_TRACEPOINT = 2
_ATTR_SIZE = 112  # PERF_ATTR_SIZE_VER5 (Linux 4.1)
_PERF_EVENT_IOC_SET_BPF = 0x40042408


def events_dir() -> str:
    """Directory of tracefs' events, mounted for this process alone where nobody has; OSError where it cannot be had."""
    for place in _TRACEFS:
        if os.path.isdir(os.path.join(place, "events")):
            break
    else:
        place = _TRACEFS[0]
        calls.mount_tracefs_privately(place)
    return os.path.join(place, "events")


def tracepoint_id(name: str, group: str = "vmscan") -> int:
    """Number of a tracepoint; OSError where there is no tracefs, or none of that name."""
    with open(os.path.join(events_dir(), group, name, "id"), encoding="ascii") as file:
        return int(file.read())


def attach(prog_fd: int, tracepoint: int) -> tuple[int, bool]:
    """(descriptor that holds the program at its tracepoint, whether that can be pinned).

    One event on one CPU is enough: a tracepoint runs the programs of all its events on every CPU.
    """
    attr = struct.pack("=IIQ", _PERF_TYPE_TRACEPOINT, _ATTR_SIZE, tracepoint).ljust(_ATTR_SIZE, b"\0")
    perf_fd = perf_event_open(attr, -1, _online_cpu())
    try:
        link_fd = calls.link_create(prog_fd, perf_fd)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        # Linux before 5.15 has no links to perf events; the event itself holds the program.
        fcntl.ioctl(perf_fd, _PERF_EVENT_IOC_SET_BPF, prog_fd)
        return perf_fd, False
    os.close(perf_fd)
    return link_fd, True


def _online_cpu() -> int:
    with open("/sys/devices/system/cpu/online", encoding="ascii") as file:
        return int(file.read().replace("-", ",").split(",")[0])


def make_pin_dir(pin_dir: str) -> None:
    """Make `pin_dir`, and mount a BPF file system if it lies in none: on /sys/fs/bpf, elsewhere on `pin_dir` itself."""
    path = os.path.realpath(pin_dir)
    if any(_below(path, point) for point in mount_points("bpf")):
        os.makedirs(path, mode=0o700, exist_ok=True)
    elif _below(path, BPFFS):
        calls.mount_bpffs(BPFFS)
        os.makedirs(path, mode=0o700, exist_ok=True)
    else:
        os.makedirs(path, mode=0o700, exist_ok=True)
        calls.mount_bpffs(path)


def pin_watches(pin_dir: str, links: list[tuple[int, bool]]) -> None:
    """Name what attach() has returned for process events, in the order of WATCHES, so that it outlives its descriptors.

    For links only, and where there is a BPF file system already: it is a convenience (see watch.py).
    """
    if all(is_link for _, is_link in links) and any(_below(pin_dir, point) for point in mount_points("bpf")):
        unpin(pin_dir)
        try:
            os.makedirs(pin_dir, mode=0o700)
            for name, (fd, _) in zip(WATCHES, links):
                calls.obj_pin(fd, os.path.join(pin_dir, name))
        except OSError:
            unpin(pin_dir)


def _below(path: str, point: str) -> bool:
    return path == point or path.startswith(point.rstrip("/") + "/")


def pin(pin_dir: str, guard_fd: int, log_fd: int, link_fd: int) -> None:
    """Name the link in `pin_dir`, so that it outlives every descriptor, and the maps by which a later steward finds it.

    Takes the place of those that are there.
    """
    unpin(pin_dir)
    os.makedirs(pin_dir, mode=0o700, exist_ok=True)
    for name, fd in ((GUARD, guard_fd), (LOG, log_fd), (LINK, link_fd)):
        calls.obj_pin(fd, os.path.join(pin_dir, name))

"""The programs behind watch.py, assembled here: a dozen instructions each, with this kernel's own field offsets.

Loader's child only. Each returns 1, so that other listeners of the tracepoint hear of the event as well.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import TYPE_CHECKING, NamedTuple

from . import attach, calls
from .order import BpfRefused
from .watch_layout import ADJ, BORN, MARKS, MOVED, RENAMED, RING_BYTES

if TYPE_CHECKING:
    from ..sensing.domain.placement import Placement

_MAP_ARRAY, _MAP_CGROUP_ARRAY, _MAP_RINGBUF = 2, 8, 27
_MMAPABLE = 1 << 10
_CURRENT_PID_TGID, _UNDER_CGROUP, _RINGBUF_OUTPUT = 14, 37, 130  # helpers
_CLONE_THREAD = 0x10000
_CLONE_INTO_CGROUP_BIT = 33
_PSEUDO_MAP_FD, _PSEUDO_MAP_VALUE = 1, 2
R0, R1, R2, R3, R4, R6, R7, R8, R9, R10 = 0, 1, 2, 3, 4, 6, 7, 8, 9, 10
_LOADS = {1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79}
OUT = 1 << 20  # a jump to the end, wherever that will be
Fields = dict[str, tuple[int, int]]  # of a tracepoint's record: name to (offset, bytes)


class Maps(NamedTuple):
    """Descriptors; domain below 0: which cgroup the domain's tasks are in cannot be told."""

    ring: int
    marks: int
    domain: int


def attach_all(least_adj: int, place: Placement, pin_dir: str) -> list[int]:
    """[ring, marks, links]; BpfRefused where the kernel does not take one of them."""
    try:
        ring = calls.map_create("lmkd_watch", _MAP_RINGBUF, 0, 0, RING_BYTES, 0)
        marks = calls.map_create("lmkd_marks", _MAP_ARRAY, 4, MARKS, 1, _MMAPABLE)
        maps = Maps(ring, marks, _cgroup_array(place.v2_directory) if place.v2_directory else -1)
        programs = [
            ("task", "task_newtask", birth(maps, least_adj, _fields("task", "task_newtask"))),
            ("task", "task_rename", rename(maps, _fields("task", "task_rename"))),
            ("oom", "oom_score_adj_update", adj_update(maps, _fields("oom", "oom_score_adj_update"))),
        ]
        if place.hierarchy >= 0:
            fields = _fields("cgroup", "cgroup_attach_task")
            programs.append(("cgroup", "cgroup_attach_task", move(maps, place, fields)))
        links = []
        for group, name, code in programs:
            loaded = calls.prog_load(name, code)
            links.append(attach.attach(loaded, attach.tracepoint_id(name, group)))
        if pin_dir:
            attach.pin_watches(pin_dir, links)
    except calls.Rejected as rejection:
        raise BpfRefused(f"process events by BPF: {rejection}") from None
    except (OSError, KeyError) as error:
        rights = isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES)
        wanted = "root or CAP_BPF and CAP_PERFMON" if rights else "ring buffers (Linux 5.8) and the tracepoints' fields"
        raise BpfRefused(f"process events by BPF: {error}; wanted {wanted}") from None
    return [ring, marks, *(fd for fd, _ in links)]


def _cgroup_array(path: str) -> int:
    array = calls.map_create("lmkd_domain", _MAP_CGROUP_ARRAY, 4, 4, 1, 0)
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    calls.map_update(array, struct.pack("=I", 0), struct.pack("=I", directory))
    os.close(directory)
    return array


def _fields(group: str, name: str) -> Fields:
    with open(os.path.join(attach.events_dir(), group, name, "format"), encoding="ascii") as file:
        return parse_format(file.read())


def parse_format(text: str) -> Fields:
    """Fields from the text of a `format` file."""
    found = {}
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(";")]
        if parts[0].startswith("field:") and len(parts) > 2:
            name = parts[0].split()[-1].partition("[")[0]
            found[name] = (int(parts[1].partition(":")[2]), int(parts[2].partition(":")[2]))
    return found


def birth(maps: Maps, least_adj: int, fields: Fields) -> bytes:
    """Mark who is born of a parent in the domain or put into a cgroup at birth; tell it if it is no thread and inherits
    at least least_adj.
    """
    code = [_insn(0xBF, R6, R1), _load(R7, R6, fields["clone_flags"]), _load(R8, R6, fields["pid"])]
    if maps.domain >= 0:
        asks = [
            *_map(R1, maps.domain),
            _insn(0xB7, R2),
            _insn(0x85, imm=_UNDER_CGROUP),
            _insn(0x15, R0, off=OUT),  # 0: the parent is not below it
        ]
        code += [
            _insn(0xBF, R2, R7),
            _insn(0x77, R2, imm=_CLONE_INTO_CGROUP_BIT),
            _insn(0x55, R2, off=len(asks)),
            *asks,
        ]
        code += [*_mark_of(maps), _insn(0x72, R9, imm=1)]
    code += [
        _insn(0x45, R7, off=OUT, imm=_CLONE_THREAD),  # if it has this bit
        _load(R1, R6, fields["oom_score_adj"]),
        _insn(0x67, R1, imm=48),  # sign-extend: shift left, then arithmetically right
        _insn(0xC7, R1, imm=48),
        _insn(0xC5, R1, off=OUT, imm=least_adj),  # if signed less
    ]
    return _finish([*code, *_output(maps.ring, BORN)])


def adj_update(maps: Maps, fields: Fields) -> bytes:
    """Tell another oom_score_adj of whoever is marked; of everybody where births are not marked.

    The number is that of the thread through which it was written. One that wrote its own may have ended before anybody
    looks, so here its number becomes its process's.
    """
    code = [
        _insn(0xBF, R6, R1),
        _insn(0x85, imm=_CURRENT_PID_TGID),
        _load(R8, R6, fields["pid"]),
        _insn(0xBC, R1, R0),  # the lower half: the thread that writes
        _insn(0x5D, R1, R8, off=2),
        _insn(0xBF, R8, R0),
        _insn(0x77, R8, imm=32),
    ]
    if maps.domain >= 0:
        code += [*_mark_of(maps), _insn(0x71, R1, R9), _insn(0x15, R1, off=OUT)]
    return _finish([*code, *_output(maps.ring, ADJ)])


def rename(maps: Maps, fields: Fields) -> bytes:
    """Tell that a marked process has given itself another name; threads do that all the time, and are left out."""
    code = [
        _insn(0xBF, R6, R1),
        _insn(0x85, imm=_CURRENT_PID_TGID),
        _insn(0x77, R0, imm=32),
        _load(R8, R6, fields["pid"]),
        _insn(0x5D, R0, R8, off=OUT),
        *_mark_of(maps),
        _insn(0x71, R1, R9),
        _insn(0x15, R1, off=OUT),
    ]
    return _finish([*code, *_output(maps.ring, RENAMED)])


def move(maps: Maps, place: Placement, fields: Fields) -> bytes:
    """Tell who is marked, and who comes into the domain's own cgroup or any that lies deeper."""
    comes = [
        _load(R2, R6, fields["dst_level"]),
        _insn(0x65, R2, off=4, imm=place.level if place.level else -1),  # if signed greater: it may be below ours
        _load(R2, R6, fields["dst_id"]),
        _insn(0x18, R3, 0, 0, place.cgroup_id & 0xFFFFFFFF),
        _insn(0, imm=place.cgroup_id >> 32),
        _insn(0x5D, R2, R3, off=OUT),
        _insn(0x72, R9, imm=1),
    ]
    code = [
        _insn(0xBF, R6, R1),
        _load(R1, R6, fields["dst_root"]),
        _insn(0x55, R1, off=OUT, imm=place.hierarchy),
        _load(R8, R6, fields["pid"]),
        *_mark_of(maps),
        _insn(0x71, R1, R9),
        _insn(0x55, R1, off=len(comes)),
    ]
    return _finish([*code, *comes, *_output(maps.ring, MOVED)])


def _mark_of(maps: Maps) -> list[list[int]]:
    """R9: where the mark of the pid in R8 is."""
    return [
        _insn(0x18, R9, _PSEUDO_MAP_VALUE, 0, maps.marks),
        _insn(0),
        _insn(0xBF, R1, R8),
        _insn(0x57, R1, imm=MARKS - 1),
        _insn(0x0F, R9, R1),
    ]


def _output(ring: int, kind: int) -> list[list[int]]:
    """The pid in R8 and the kind into the ring."""
    return [
        _insn(0x63, R10, R8, off=-8),
        _insn(0xB7, R1, imm=kind),
        _insn(0x63, R10, R1, off=-4),
        *_map(R1, ring),
        _insn(0xBF, R2, R10),
        _insn(0x07, R2, imm=-8),
        _insn(0xB7, R3, imm=8),
        _insn(0xB7, R4),
        _insn(0x85, imm=_RINGBUF_OUTPUT),
    ]


def _insn(op: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> list[int]:
    return [op, src << 4 | dst, off, imm]


def _load(dst: int, src: int, field: tuple[int, int]) -> list[int]:
    offset, size = field
    return _insn(_LOADS[size], dst, src, offset)


def _map(dst: int, fd: int) -> list[list[int]]:
    return [_insn(0x18, dst, _PSEUDO_MAP_FD, 0, fd), _insn(0)]


def _finish(code: list[list[int]]) -> bytes:
    end = len(code)
    whole = [*code, _insn(0xB7, R0, imm=1), _insn(0x95)]
    for index, each in enumerate(whole):
        if each[2] == OUT:
            each[2] = end - index - 1
    return b"".join(struct.pack("=BBhi", *each) for each in whole)

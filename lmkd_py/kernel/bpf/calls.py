"""bpf(2) and what belongs to it, one thin function a command. Loader's child only: everything here allocates."""

from __future__ import annotations

import ctypes
import errno
import os
import struct

from ..acting.libc import LIBC, function, oserror, raw_syscall
from ..acting.numbers import NR

_MAP_CREATE, _MAP_UPDATE_ELEM, _PROG_LOAD, _OBJ_PIN, _RAW_TRACEPOINT_OPEN, _LINK_CREATE = 0, 2, 5, 6, 17, 28
TRACEPOINT, RAW_TRACEPOINT = 5, 17  # program types
_ATTACH_PERF_EVENT = 41  # BPF_PERF_EVENT
_LOG_BYTES = 1 << 20
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_ENOTSUPP = 524  # linux/errno.h; not for programs, and yet told to them
_CLONE_NEWNS = 0x20000
_CAPABILITY_VERSION_3 = 0x20080522
_CAP_SYS_RESOURCE = 24

_bpf = raw_syscall(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_capget = function("capget", ctypes.c_int, *(ctypes.c_char_p,) * 2)
_capset = function("capset", ctypes.c_int, *(ctypes.c_char_p,) * 2)
_mount = function("mount", ctypes.c_int, *(ctypes.c_char_p,) * 3, ctypes.c_ulong, ctypes.c_char_p)


class Rejected(Exception):
    """The kernel does not take a program: the verifier's own last word, or that its JIT compiler lacks something."""


def _call(command: int, attributes: bytes, subject: str) -> int:
    result: int = _bpf(NR.bpf, command, attributes, len(attributes))
    if result < 0:
        raise oserror("bpf", subject)
    return result


def map_create(name: str, kind: int, key_size: int, value_size: int, max_entries: int, flags: int) -> int:
    """A new map's descriptor (close-on-exec, as all of bpf(2))."""
    attributes = struct.pack("=IIIIIII16s", kind, key_size, value_size, max_entries, flags, 0, 0, name.encode()[:15])
    return _call(_MAP_CREATE, attributes, f"map {name}")


def map_update(map_fd: int, key: bytes, value: bytes) -> None:
    """Store one element in a map. Raises OSError."""
    key_buffer, value_buffer = ctypes.create_string_buffer(key), ctypes.create_string_buffer(value)
    addresses = ctypes.addressof(key_buffer), ctypes.addressof(value_buffer)
    _call(_MAP_UPDATE_ELEM, struct.pack("=IIQQQ", map_fd, 0, *addresses, 0), "map element")


def prog_load(name: str, instructions: bytes, kind: int = TRACEPOINT) -> int:
    """A program's descriptor. Rejected with the kernel's reason, OSError for anything else."""
    code = ctypes.create_string_buffer(instructions, len(instructions))
    licence = ctypes.create_string_buffer(b"GPL")  # the kernel's functions are for programs under this licence only
    log = ctypes.create_string_buffer(_LOG_BYTES)
    # Without a log first: its size may be too small, and then a good program fails as well.
    for level, size in ((0, 0), (1, _LOG_BYTES)):
        attributes = struct.pack(
            "=IIQQIIQII16s",
            kind,
            len(instructions) // 8,
            ctypes.addressof(code),
            ctypes.addressof(licence),
            level,
            size,
            ctypes.addressof(log) if size else 0,
            0,
            0,
            name.encode()[:15],
        )
        fd: int = _bpf(NR.bpf, _PROG_LOAD, attributes, len(attributes))
        if fd >= 0:
            return fd
        error = ctypes.get_errno()
        if error == errno.EPERM:
            break
        if error == _ENOTSUPP:  # the verifier had nothing against it, and its log no reason
            raise Rejected("the JIT compiler does not take it")
    said = _last_words(log.value)
    if said:
        raise Rejected(f"the verifier says: {said} ({os.strerror(error)})")
    raise oserror("bpf", f"program {name}", error)


def _last_words(log: bytes) -> str:
    # The verifier ends with statistics; the line before them is the reason.
    lines = [line.strip() for line in log.decode("utf-8", "replace").splitlines() if line.strip()]
    statistics = ("processed ", "verification time", "stack depth")
    lines = [line for line in lines if not line.startswith(statistics)]
    return lines[-1] if lines else ""


def obj_pin(fd: int, path: str) -> None:
    """Give an object a name in a BPF file system."""
    name = ctypes.create_string_buffer(os.fsencode(path))
    _call(_OBJ_PIN, struct.pack("=QII", ctypes.addressof(name), fd, 0), f"pin {path}")


def link_create(prog_fd: int, perf_fd: int) -> int:
    """A link of a program to a perf event (Linux 5.15; EINVAL before)."""
    return _call(_LINK_CREATE, struct.pack("=IIII", prog_fd, perf_fd, _ATTACH_PERF_EVENT, 0), "link")


def raw_tracepoint_open(prog_fd: int, tracepoint: str) -> int:
    """A descriptor that holds the program at a tracepoint while it is open; no tracefs is needed."""
    name = ctypes.create_string_buffer(tracepoint.encode())
    return _call(
        _RAW_TRACEPOINT_OPEN, struct.pack("=QII", ctypes.addressof(name), prog_fd, 0), f"tracepoint {tracepoint}"
    )


def mount_bpffs(target: str) -> None:
    """Mount a new BPF file system. Raises OSError."""
    if _mount(b"bpf", os.fsencode(target), b"bpf", 0, b"mode=0700") < 0:
        raise oserror("mount", f"bpf on {target}")


def mount_tracefs_privately(target: str) -> None:
    """In a mount namespace of our own: nobody else sees it, and it goes when this process does."""
    if LIBC.unshare(_CLONE_NEWNS) < 0:
        raise oserror("unshare", "mount namespace")
    if _mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None) < 0:
        raise oserror("mount", "private /")
    if _mount(b"tracefs", os.fsencode(target), b"tracefs", 0, None) < 0:
        raise oserror("mount", f"tracefs on {target}")


class WithoutResourceRight:
    """Within it this thread does without CAP_SYS_RESOURCE; afterwards it has it again if it had it."""

    def __enter__(self) -> None:
        header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
        self._before = ctypes.create_string_buffer(24)  # effective, permitted, inheritable: low halves, then high ones
        if _capget(header, self._before) < 0:
            raise oserror("capget")
        halves = list(struct.unpack("=6I", self._before.raw))
        halves[0] &= ~(1 << _CAP_SYS_RESOURCE)
        if _capset(header, struct.pack("=6I", *halves)) < 0:
            raise oserror("capset")

    def __exit__(self, *_: object) -> None:
        if _capset(struct.pack("=Ii", _CAPABILITY_VERSION_3, 0), self._before.raw) < 0:
            raise oserror("capset")

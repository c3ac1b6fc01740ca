"""What lies behind a link to a program: the maps of that program, opened by the kernel's own numbers for them."""

from __future__ import annotations

import ctypes
import os
import struct

from lmkd_py.kernel.acting.libc import raw_syscall
from lmkd_py.kernel.acting.numbers import NR
from lmkd_py.kernel.bpf import AttachedProgram

_UPDATE, _DELETE, _PROG_BY_ID, _MAP_BY_ID, _INFO = 2, 3, 13, 14, 15
_bpf = raw_syscall(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)


def _call(command: int, attributes: bytes) -> int:
    result: int = _bpf(NR.bpf, command, attributes, len(attributes))
    if result < 0:
        raise OSError(ctypes.get_errno(), f"bpf command {command}")
    return result


def _info(fd: int, size: int, asked: bytes = b"") -> bytes:
    # asked: what of the information is filled in by us.
    buffer = ctypes.create_string_buffer(asked, size)
    _call(_INFO, struct.pack("=IIQ", fd, size, ctypes.addressof(buffer)))
    return buffer.raw


def _opened(command: int, number: int) -> int:
    return _call(command, struct.pack("=III", number, 0, 0))


def map_of(attached: AttachedProgram, name: str) -> int:
    """A descriptor of the map of this name that the attached program uses."""
    (program_id,) = struct.unpack_from("=I", _info(attached.link_fds[0], 16), 8)  # struct bpf_link_info
    program = _opened(_PROG_BY_ID, program_id)
    numbers = (ctypes.c_uint32 * 16)()
    # struct bpf_prog_info: nr_map_ids at 52, map_ids at 56.
    said = _info(program, 64, struct.pack("=52xIQ", len(numbers), ctypes.addressof(numbers)))
    os.close(program)
    for number in numbers[: struct.unpack_from("=I", said, 52)[0]]:
        fd = _opened(_MAP_BY_ID, number)
        if _info(fd, 40)[24:40].rstrip(b"\0") == name.encode():  # struct bpf_map_info
            return fd
        os.close(fd)
    raise AssertionError(f"no map {name}")


def insert(map_fd: int, key: int, value: int) -> None:
    """BPF_NOEXIST: FileExistsError where the key is there."""
    pair = (ctypes.c_uint32 * 2)(key, value)
    address = ctypes.addressof(pair)
    _call(_UPDATE, struct.pack("=IIQQQ", map_fd, 0, address, address + 4, 1))


def delete(map_fd: int, key: int) -> None:
    """FileNotFoundError where the key is not there."""
    cell = ctypes.c_uint32(key)
    _call(_DELETE, struct.pack("=IIQQQ", map_fd, 0, ctypes.addressof(cell), 0, 0))

"""What is pinned, and how a later steward takes it back: so little that the steward can do it itself."""

from __future__ import annotations

import mmap
import os
import struct

from ..libc import raw_syscall
from ..numbers import NR
from . import layout
from .guard import Strike, strikes_in

BPFFS = "/sys/fs/bpf"
LINK, GUARD, LOG = "strike", "guard", "log"  # names in a pin directory: the link, and two of its maps
_OBJ_GET = 7


def parent_of(root: str) -> str:
    """Directory that holds a pin directory for each load of this state root; OSError where the root is not there.

    Named after the root's inode: virtual devices have their own mounts, and so the same paths.
    """
    found = os.stat(root)
    return f"{BPFFS}/lmkd_py-{found.st_dev:x}-{found.st_ino:x}"


def unpin(pin_dir: str) -> None:
    """Remove what this daemon, or a dead one before it, has pinned in `pin_dir`. Nothing there is fine."""
    for name in (LINK, GUARD, LOG):
        _remove(os.unlink, os.path.join(pin_dir, name))
    for directory in (pin_dir, os.path.dirname(pin_dir)):  # the parent goes with its last
        _remove(os.rmdir, directory)


def disown(parent: str, keep: str = "") -> list[Strike]:
    """Disarm and unpin every load below `parent` but `keep`; what their programs have struck.

    Whoever armed them is dead: the caller has seen to that.
    """
    try:
        names = os.listdir(parent)
    except OSError:
        return []
    found = []
    for pin_dir in (os.path.join(parent, name) for name in sorted(names)):
        if pin_dir != keep:
            found += _disarm(pin_dir)
            unpin(pin_dir)
    return found


def _disarm(pin_dir: str) -> list[Strike]:
    areas = []
    try:
        for name, size in ((GUARD, layout.WORDS_BYTES), (LOG, layout.LOG_BYTES)):
            fd = obj_get(os.path.join(pin_dir, name))
            try:
                areas.append(mmap.mmap(fd, size))
            finally:
                os.close(fd)
    except (OSError, ValueError):  # not pinned, or nothing of ours
        return []
    guard, log = areas
    with memoryview(guard).cast("Q") as words:
        words[layout.ARMED] = layout.OFF
        return strikes_in(words, log, 0)


def obj_get(path: str) -> int:
    """BPF_OBJ_GET: a descriptor of what is pinned at `path`."""
    import ctypes

    name = ctypes.create_string_buffer(os.fsencode(path))
    attributes = struct.pack("=QII", ctypes.addressof(name), 0, 0)
    bpf = raw_syscall(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    fd: int = bpf(NR.bpf, _OBJ_GET, attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "BPF_OBJ_GET", path)
    return fd


def _remove(how: object, path: str) -> None:
    try:
        how(path)  # type: ignore[operator]
    except OSError:  # not there, a mount point, or others' pins beside ours
        pass

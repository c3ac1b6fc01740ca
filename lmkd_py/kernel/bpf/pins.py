"""What is pinned, and how a later steward takes it back: so little that the steward can do it itself."""

from __future__ import annotations

import mmap
import os
import struct
from errno import ENFILE, ENOMEM

from ..acting.libc import raw_syscall
from ..acting.numbers import NR
from . import layout
from .guard import LoggedStrike, strikes_in

BPFFS = "/sys/fs/bpf"
LINK, GUARD, LOG = "strike", "guard", "log"  # names in a pin directory: the link, and two of its maps
WATCHES = ("birth", "name", "adj", "move")  # or, of process events, the links alone
_OBJ_GET = 7


def parent_of(root: str) -> str:
    """Directory that holds a pin directory for each load of this state root; OSError where the root is not there.

    Named after the root's inode: virtual devices have their own mounts, and so the same paths.
    """
    found = os.stat(root)
    return f"{BPFFS}/lmkd_py-{found.st_dev:x}-{found.st_ino:x}"


def unpin(pin_dir: str) -> None:
    """Remove what this daemon, or a dead one before it, has pinned in `pin_dir`. Nothing there is fine."""
    for name in (LINK, GUARD, LOG, *WATCHES):
        _remove(os.unlink, os.path.join(pin_dir, name))
    for directory in (pin_dir, os.path.dirname(pin_dir)):  # the parent goes with its last
        _remove(os.rmdir, directory)


class Abandoned:
    """A load whose owner is dead, disarmed; `words` and `log` as its program left them, until remove()."""

    def __init__(self, pin_dir: str) -> None:
        """OSError or ValueError: nothing is pinned there, or nothing of ours."""
        self.pin_dir = pin_dir
        self._guard, self.log = _area(pin_dir, GUARD, layout.WORDS_BYTES), _area(pin_dir, LOG, layout.LOG_BYTES)
        self.words = memoryview(self._guard).cast("Q")
        self.words[layout.ARMED] = layout.OFF

    @property
    def killer_pid(self) -> int:
        """Who did not answer: the second of those that are never struck."""
        return self.words[layout.NEVER + 1]

    def remove(self) -> None:
        """Unpin and unmap it: the kernel takes the program out. What a shortage interrupts can be repeated."""
        unpin(self.pin_dir)
        self.words.release()
        self._guard.close()
        self.log.close()


def abandoned(parent: str, own: tuple[str, ...] = ()) -> list[Abandoned]:
    """Every load below `parent`, disarmed; not those whose name begins with one of `own`.

    Whoever armed them is dead: the caller has seen to that. What is there and holds no load is removed.
    """
    try:
        names = os.listdir(parent)
    except OSError:
        return []
    found = []
    for name in sorted(names):
        if not name.startswith(own):
            pin_dir = os.path.join(parent, name)
            try:
                found.append(Abandoned(pin_dir))
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno in (ENOMEM, ENFILE):
                    raise  # it may hold strikes all the same
                unpin(pin_dir)
    return found


def disown(parent: str) -> list[LoggedStrike]:
    """Disarm and unpin every load below `parent`; what their programs have struck."""
    found = []
    for load in abandoned(parent):
        found += strikes_in(load.words, load.log, 0)
        load.remove()
    _remove(os.rmdir, parent)
    return found


def _area(pin_dir: str, name: str, size: int) -> mmap.mmap:
    fd = obj_get(os.path.join(pin_dir, name))
    try:
        return mmap.mmap(fd, size)
    finally:
        os.close(fd)


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

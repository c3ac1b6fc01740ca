"""Memory that is held locked for a bad moment and given back to the kernel right before it is needed.

Giving back allocates nothing: the mapping stays, its pages go. Taking them again may wait for memory, so that is done
in steps, by somebody who knows that nobody is short.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os

from ...core.config import BY_RAM
from ...core.notes import Note
from ...core.vocabulary import NoteKind
from ..acting.libc import function, oserror
from ..acting.memory import MADV_POPULATE_WRITE, address_of, madvise
from ..acting.refused import refused

MADV_DONTNEED, MADV_DONTFORK = 4, 10
MOST_KB, LEAST_RAM_KB = 8 << 10, 512 << 10

_mlock = function("mlock", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)
_munlock = function("munlock", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)


def ram_kb() -> int:
    """What the kernel manages; a container's limit is not in it."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 10


def suitable_kb(of_kb: int) -> int:
    """How much to hold on a machine of so much RAM: 0.5 % of it, at most 8 MiB, and nothing below 512 MiB."""
    return min(MOST_KB, of_kb // 200) if of_kb >= LEAST_RAM_KB else 0


class Reserve:
    """`kb` of locked memory, taken at once; BY_RAM: as much as suits. `note`: what came of it. 0 kB: nothing at all."""

    def __init__(self, kb: int) -> None:
        self.asked_kb = kb
        ram_mib = 0
        if kb == BY_RAM:
            ram_mib, kb = ram_kb() >> 10, suitable_kb(ram_kb())
        self.kb = kb
        self.note = Note(kind=NoteKind.POOL if kb else NoteKind.POOL_OFF, number=kb, layer=2)
        if ram_mib and not kb:
            self.note = Note(kind=NoteKind.POOL_NONE_HERE, number=ram_mib, layer=2)
        self.present = 0  # bytes that are there
        self.locked = False
        self._area: mmap.mmap | None = None
        if not kb:
            return
        try:
            self._area = mmap.mmap(-1, kb << 10, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            self._address = address_of(self._area)
            madvise(self._address, kb << 10, MADV_DONTFORK)  # a killer forked later has no use for it
            self.take(kb << 10)
        except (OSError, MemoryError) as error:
            self.note = refused(NoteKind.POOL_REFUSED, error, 2, number=kb)
            self.close()

    @property
    def active(self) -> int:
        """1: it is there, or was and is being used."""
        return int(self.note.kind == NoteKind.POOL)

    def give_back(self) -> None:
        """Give all pages back to the kernel now."""
        if self._area is None or not self.present:
            return
        if self.locked:
            _munlock(self._address, self.kb << 10)
            self.locked = False
        madvise(self._address, self.present, MADV_DONTNEED)
        self.present = 0

    def take(self, count: int) -> bool:
        """`count` bytes more; True once everything is there and locked. Raises OSError where it is refused."""
        if self._area is None or self.locked:
            return True
        count = min(count, (self.kb << 10) - self.present)
        if count:
            _fill(self._address + self.present, count)
            self.present += count
        if self.present < self.kb << 10:
            return False
        if _mlock(self._address, self.kb << 10) < 0:
            raise oserror("mlock", f"{self.kb} kB")
        self.locked = True
        return True

    def close(self) -> None:
        """Unmap the pool."""
        if self._area is not None:
            self._area.close()
            self._area = None
        self.present = 0
        self.locked = False


def _fill(start: int, length: int) -> None:
    try:
        madvise(start, length, MADV_POPULATE_WRITE)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        ctypes.memset(start, 0, length)  # before Linux 5.14

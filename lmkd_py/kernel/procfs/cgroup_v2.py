"""Files of a v2 cgroup: memory.numa_stat, which unlike memory.stat is printed without a buffer from the heap."""

from __future__ import annotations

import os

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .counters import Counters
from .number import MAX_INT64

# In the file's order.
KEYS = (b"shmem", b"inactive_anon", b"active_anon", b"inactive_file", b"active_file", b"unevictable")


class NumaStatV2:
    """`values[i]`: bytes of KEYS[i] summed over all nodes, the cgroup and everything below it; ABSENT if not there."""

    __slots__ = ("file", "values")

    def __init__(self, path: str) -> None:
        self.file = PinnedFile(path)
        self.values = [ABSENT] * len(KEYS)
        self.read()
        if ABSENT in (self.values[3], self.values[4]):
            self.file.close()
            raise ValueError(f"{path}: no inactive_file or active_file with N0=number")

    def read(self) -> int:
        """Fresh values; bytes read or a negative errno (then all are ABSENT)."""
        file = self.file
        got = file.read()
        buf, end = file.buf, file.end
        cursor = 0
        for index, key in enumerate(KEYS):
            at = buf.find(b"\n" + key + b" N", cursor, end)
            if at < 0:
                at = buf.find(b"\n" + key + b" N", 0, end)
            if at < 0:
                self.values[index] = ABSENT
                continue
            stop = buf.find(b"\n", at + 1, end)
            cursor = stop if stop >= 0 else end
            self.values[index] = _sum(buf[at + len(key) + 2 : cursor])
        return got


def _sum(text: bytearray) -> int:
    # "N0=4096 N1=8192"
    total = 0
    for part in text.split():
        digits = part[part.find(b"=") + 1 :]
        if not digits.isdigit():
            return ABSENT
        total += int(digits)
    return total if total <= MAX_INT64 else ABSENT


def page_lists(directory: str) -> NumaStatV2 | Counters:
    """The lists of a cgroup: memory.numa_stat, or on kernels without NUMA memory.stat, for one kmalloc a read."""
    try:
        return NumaStatV2(os.path.join(directory, "memory.numa_stat"))
    except FileNotFoundError:
        return Counters(os.path.join(directory, "memory.stat"), KEYS, (b"inactive_file", b"active_file"))

"""Page lists of a v1 memory cgroup: from memory.numa_stat, which does not allocate, or from memory.stat, which does."""

from __future__ import annotations

import mmap
import os

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .counters import Counters
from .number import number_at

_KEYS = (b"\nhierarchical_file=", b"\nhierarchical_anon=", b"\nhierarchical_unevictable=")


class NumaStatV1:
    """memory.numa_stat: pages of the cgroup and everything below it. Kernels without NUMA have no such file.

    The kernel adds these up in batches: they lag behind usage_in_bytes by up to 64 pages a CPU (measured: 26 pages).
    """

    __slots__ = ("anon_pages", "file", "file_pages", "unevictable_pages")

    def __init__(self, path: str) -> None:
        self.file = PinnedFile(path)
        self.file_pages = self.anon_pages = self.unevictable_pages = ABSENT
        self.read()
        if self.file_pages == ABSENT:
            self.file.close()
            raise ValueError(f"{path}: no hierarchical_file=N (use_hierarchy off?)")

    def read(self) -> int:
        """Fresh values; bytes read or a negative errno (then all are ABSENT)."""
        file = self.file
        got = file.read()
        buf, end = file.buf, file.end
        results = []
        at = 0
        for key in _KEYS:  # they stand in this order
            at = buf.find(key, at if at >= 0 else 0, end)
            start = at + len(key)
            results.append(number_at(buf, start, buf.find(b" ", start, end)) if at >= 0 else ABSENT)
        self.file_pages, self.anon_pages, self.unevictable_pages = results
        return got


class StatV1:
    """The same three figures from memory.stat, for kernels without NUMA: one kmalloc a read."""

    __slots__ = ("_counters", "anon_pages", "file", "file_pages", "unevictable_pages")

    def __init__(self, path: str) -> None:
        keys = (b"total_inactive_file", b"total_active_file", b"total_inactive_anon", b"total_active_anon")
        self._counters = Counters(path, (*keys, b"total_unevictable"), keys)
        self.file = self._counters.file
        self.file_pages = self.anon_pages = self.unevictable_pages = ABSENT
        self.read()

    def read(self) -> int:
        """Fresh values; bytes read or a negative errno (then all are ABSENT)."""
        got = self._counters.read()
        inactive_file, active_file, inactive_anon, active_anon, unevictable = self._counters.values
        self.file_pages = _pages(inactive_file, active_file)
        self.anon_pages = _pages(inactive_anon, active_anon)
        self.unevictable_pages = _pages(unevictable, 0)
        return got


def _pages(some_bytes: int, more_bytes: int) -> int:
    return (some_bytes + more_bytes) // mmap.PAGESIZE if some_bytes >= 0 and more_bytes >= 0 else ABSENT


def page_lists(directory: str) -> NumaStatV1 | StatV1:
    """The lists of a cgroup and everything below it, from the file that allocates least."""
    try:
        return NumaStatV1(os.path.join(directory, "memory.numa_stat"))
    except FileNotFoundError:
        return StatV1(os.path.join(directory, "memory.stat"))

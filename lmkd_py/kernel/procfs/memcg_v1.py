"""Files of a v1 memory cgroup that can be read without the kernel allocating: numa_stat and oom_control."""

from __future__ import annotations

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .number import number_at

_KEYS = (b"\nhierarchical_file=", b"\nhierarchical_anon=", b"\nhierarchical_unevictable=")


class NumaStatV1:
    """memory.numa_stat: pages of the cgroup and everything below it. Kernels without NUMA have no such file."""

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

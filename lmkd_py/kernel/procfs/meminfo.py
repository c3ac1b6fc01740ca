"""/proc/meminfo. The kernel pads its numbers to fixed columns, so one struct unpack takes all of them."""

from __future__ import annotations

import struct

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .number import number_at

# In the order of Snapshot's fields mem_total_kb .. cma_free_kb, which is also the order of the file.
KEYS = (
    b"MemTotal",
    b"MemFree",
    b"Buffers",
    b"Cached",
    b"SwapCached",
    b"Active(anon)",
    b"Inactive(anon)",
    b"Active(file)",
    b"Inactive(file)",
    b"Unevictable",
    b"SwapTotal",
    b"SwapFree",
    b"Shmem",
    b"SReclaimable",
    b"SUnreclaim",
    b"KernelStack",
    b"PageTables",
    b"CmaFree",
)
_UNIT = b" kB"
_REQUIRED = 2  # without the first two there is nothing to judge


class Meminfo:
    """`values[i]`: kB of KEYS[i]; ABSENT where this kernel has no such line."""

    __slots__ = ("_indexes", "_layout", "_names", "_units", "file", "values")

    def __init__(self, path: str) -> None:
        self.file = PinnedFile(path)
        self.values = [ABSENT] * len(KEYS)
        self._layout = struct.Struct("")
        self._names: tuple[bytes, ...] = ()
        self._units: tuple[bytes, ...] = ()
        self._indexes: tuple[int, ...] = ()
        self._search()
        for key, value in zip(KEYS[:_REQUIRED], self.values):
            if value == ABSENT:
                self.file.close()
                raise ValueError(f"{path}: no line {key.decode()!r} with a number of kB")

    def _search(self) -> None:
        # Slow and sure: every key by name; remembers where it stood for the next read.
        buf, end = self.file.buf, self.file.end
        found = []
        for index, key in enumerate(KEYS):
            needle = b"\n" + key + b":"
            at = buf.find(needle, 0, end)
            start = at + len(needle)
            unit = buf.find(_UNIT, start, end)
            line_end = buf.find(b"\n", start, end)
            if at < 0 or unit < 0 or 0 <= line_end < unit:
                self.values[index] = ABSENT
                continue
            value = self.values[index] = number_at(buf, start, unit)
            if value != ABSENT:
                found.append((at, needle, unit, index))
        found.sort()
        layout, names, indexes, cursor = "<", [], [], 0
        for at, needle, unit, index in found:
            # The unit is looked at too: a number that outgrows its column must not be cut.
            layout += f"{at - cursor}x{len(needle)}s{unit - at - len(needle)}s{len(_UNIT)}s"
            cursor = unit + len(_UNIT)
            names.append(needle)
            indexes.append(index)
        # A read that lost lines teaches nothing: what was there at the start is looked for until it is back.
        if indexes == sorted(indexes) and len(indexes) >= len(self._indexes):
            self._layout, self._names, self._indexes = struct.Struct(layout), tuple(names), tuple(indexes)
            self._units = (_UNIT,) * len(names)

    def read(self) -> int:
        """Fresh `values`; bytes read or a negative errno (then all are ABSENT)."""
        file = self.file
        got = file.read()
        if got < 0:
            self.values = [ABSENT] * len(KEYS)
            return got
        if got < self._layout.size or not self._names:
            self._search()
            return got
        fields = self._layout.unpack_from(file.buf)
        if fields[0::3] != self._names or fields[2::3] != self._units:
            self._search()
            return got
        try:
            numbers = [int(text) for text in fields[1::3]]
        except ValueError:
            numbers = [-1]
        if min(numbers) < 0:
            self._search()
            return got
        if len(numbers) == len(KEYS):
            self.values = numbers
        else:
            for index, number in zip(self._indexes, numbers):
                self.values[index] = number
        return got

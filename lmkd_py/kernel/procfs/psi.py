"""Pressure stall files: /proc/pressure/* and a cgroup's *.pressure."""

from __future__ import annotations

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .number import number_at

_SOME, _FULL = b"\nsome avg10=", b"\nfull avg10="


class Pressure:
    """Stall of one resource. avg10 in hundredths of a percent, totals in us; `full` is ABSENT for older cpu files."""

    __slots__ = ("_totals", "file", "full_avg10", "full_total_us", "some_avg10", "some_total_us")

    def __init__(self, path: str, totals: int = 1) -> None:
        """`totals` 0: only the averages are parsed (a third of the time); totals stay ABSENT."""
        self.file = PinnedFile(path)
        self._totals = totals
        self.some_avg10 = self.full_avg10 = self.some_total_us = self.full_total_us = ABSENT
        self.read()
        if self.some_avg10 == ABSENT or (totals and self.some_total_us == ABSENT):
            self.file.close()
            raise ValueError(f"{path}: line 1: found {bytes(self.file.buf[1:41])!r}, wanted some avg10=... total=...")

    def read(self) -> int:
        """Fresh values; bytes read or a negative errno (then all are ABSENT)."""
        file = self.file
        got = file.read()
        buf, end = file.buf, file.end
        full = buf.find(_FULL, 0, end)
        some = buf.find(_SOME, 0, end)
        self.some_avg10 = _average(buf, some, end)
        self.full_avg10 = _average(buf, full, end)
        if self._totals:
            self.some_total_us = _total(buf, some, full if full > some else end)
            self.full_total_us = _total(buf, full, some if some > full else end)
        return got


def _average(buf: bytearray, at: int, end: int) -> int:
    # Hundredths of a percent in the line that begins at `at`. The kernel prints %lu.%02lu.
    start = at + 12
    blank = buf.find(b" ", start, end)
    if at < 0 or blank - start < 4 or buf[blank - 3] != 46:
        return ABSENT
    digits = buf[start : blank - 3] + buf[blank - 2 : blank]
    return int(digits) if digits.isdigit() and len(digits) <= 5 else ABSENT


def _total(buf: bytearray, at: int, end: int) -> int:
    start = buf.find(b" total=", at + 12, end) + 7
    return number_at(buf, start, end) if at >= 0 and start >= 7 else ABSENT

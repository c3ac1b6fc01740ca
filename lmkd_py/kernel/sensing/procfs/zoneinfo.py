"""/proc/zoneinfo: watermarks of every zone on every node."""

from __future__ import annotations

from typing import NamedTuple

from ....core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .table import MAX_INT64

_HEADER = b"\nNode "
_BOOST = b"\n        boost"  # printed from Linux 5.14 on; min, low and high contain it
_FREE, _PROTECTION = b"\n  pages free", b"\n        protection: ("
_MIN, _LOW, _HIGH, _PRESENT = (b"\n        " + key for key in (b"min", b"low", b"high", b"present"))

_MANAGED = b"\n        managed"
_CMA = b"\n      nr_free_cma "


class Zone(NamedTuple):
    """One zone. Pages; `protection` is the reserve this zone keeps from allocations that could use a higher one."""

    node: int
    name: str
    present: int
    free: int
    min: int
    low: int
    high: int
    boost: int  # contained in min, low and high; ABSENT on kernels that do not tell
    managed: int  # ABSENT on kernels before 3.8
    cma_free: int  # ABSENT on kernels without CMA counters
    protection: tuple[int, ...]


class Zoneinfo:
    """`watermarks`: sums over populated zones of (min, low, high) + max(protection), in pages; ABSENT three times if
    the last read could not be understood. `boost`: what the kernel has added to each of them for the moment, ABSENT
    where it does not tell. The per-node statistics stand inside a node's first populated zone."""

    __slots__ = ("boost", "file", "watermarks")

    def __init__(self, path: str) -> None:
        self.file = PinnedFile(path, whole=1)
        self.watermarks = (ABSENT, ABSENT, ABSENT)
        self.boost = ABSENT
        try:
            if not any(zone.present for zone in self.zones()):
                raise ValueError(f"{path}: no populated zone")
        except ValueError:
            self.file.close()
            raise
        self.read()

    def read(self) -> int:
        """Fresh `watermarks`; bytes read or a negative errno."""
        got = self.file.read()
        self.boost = ABSENT
        try:
            self.watermarks = self._sums() if got > 0 else (ABSENT, ABSENT, ABSENT)
        except ValueError:
            self.watermarks = (ABSENT, ABSENT, ABSENT)
        return got

    def _sums(self) -> tuple[int, int, int]:
        least = low = high = populated = 0
        boost = ABSENT
        buf, end = self.file.buf, self.file.end
        at = buf.find(_HEADER, 0, end)
        while at >= 0:
            following = buf.find(_HEADER, at + 1, end)
            stop = following if following >= 0 else end
            start = self._pages(at, stop)
            if self._number(_PRESENT, start, stop):
                reserve = max(self._protection(start, stop))
                least += self._number(_MIN, start, stop) + reserve
                low += self._number(_LOW, start, stop) + reserve
                high += self._number(_HIGH, start, stop) + reserve
                populated = 1
                if buf.find(_BOOST, start, stop) >= 0:
                    boost = max(boost, 0) + self._number(_BOOST, start, stop)
            at = following
        if not populated or high > MAX_INT64:
            return ABSENT, ABSENT, ABSENT
        self.boost = boost
        return least, low, high

    # Only what lies between "pages free" and the end of the protection array is looked at: the per-node block comes
    # before it, and the page sets with their own "high" behind it.
    def _pages(self, at: int, stop: int) -> int:
        start = self.file.buf.find(_FREE, at, stop)
        if start < 0:
            raise ValueError(f"{self._line(at)}: zone without 'pages free'")
        return start

    def _number(self, key: bytes, start: int, stop: int) -> int:
        buf = self.file.buf
        at = buf.find(key, start, stop)
        text = buf[at + len(key) : buf.find(b"\n", at + 1, stop)].strip()
        if at < 0 or not text.isdigit():
            raise ValueError(
                f"{self._line(max(at, start))}: zone without a number of {key.split()[-1].decode()!r} pages"
            )
        return int(text)

    def _protection(self, start: int, stop: int) -> list[int]:
        buf = self.file.buf
        opening = buf.find(_PROTECTION, start, stop)
        closing = buf.find(b")", opening, stop)
        try:
            if opening < 0 or closing < 0:
                raise ValueError
            return [int(text) for text in buf[opening + len(_PROTECTION) : closing].split(b",")]
        except ValueError:
            raise ValueError(f"{self._line(max(opening, start))}: zone without protection (N, N, ...)") from None

    def _line(self, at: int) -> str:
        return f"{self.file.path}: line {self.file.line_of(at + 1)}"

    def zones(self) -> list[Zone]:
        """Start-up and tests: every zone in the file's order; ValueError naming file, line and item."""
        buf, end, result = self.file.buf, self.file.end, []
        at = buf.find(_HEADER, 0, end)
        while at >= 0:
            following = buf.find(_HEADER, at + 1, end)
            stop = following if following >= 0 else end
            words = bytes(buf[at : buf.find(b"\n", at + 1, stop)]).replace(b",", b" ").split()
            if len(words) != 4 or not words[1].isdigit():
                raise ValueError(f"{self._line(at)}: found {b' '.join(words)!r}, wanted 'Node N, zone NAME'")
            start = self._pages(at, stop)
            result.append(
                Zone(
                    int(words[1]),
                    words[3].decode("ascii", "replace"),
                    self._number(_PRESENT, start, stop),
                    self._number(_FREE, at, stop),
                    self._number(_MIN, start, stop),
                    self._number(_LOW, start, stop),
                    self._number(_HIGH, start, stop),
                    self._number(_BOOST, start, stop) if buf.find(_BOOST, start, stop) >= 0 else ABSENT,
                    self._number(_MANAGED, start, stop) if buf.find(_MANAGED, start, stop) >= 0 else ABSENT,
                    self._number(_CMA, start, stop) if buf.find(_CMA, start, stop) >= 0 else ABSENT,
                    tuple(self._protection(start, stop)),
                )
            )
            at = following
        return result

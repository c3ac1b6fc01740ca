"""Numbers out of kernel text. A domain describes its files as rows; one loop reads them all.

What a file looks like is learnt at start: rows that it has not are left out for ever, the others are put in the order
of the file, so that reading is one search forward for each number. Reading allocates nothing from the kernel.
"""

from __future__ import annotations

import errno
import mmap
from os import preadv
from typing import Any, NamedTuple

from ....core.vocabulary import ABSENT
from ..pinned import PinnedFile

MAX_INT64 = (1 << 63) - 1  # what a trace can store; nothing real is larger
UNLIMITED = MAX_INT64  # "max" of cgroup v2

# How a number is written.
PLAIN = 0
HUNDREDTHS = 1  # "12.34" is 1234
NODES = 2  # "N0=4096 N1=8192", one for each memory node
LIMIT = 3  # or "max", which is UNLIMITED

# What becomes of several rows of one field.
SUM = 1  # they add up: lists, nodes; unknown if one of them is
LEAST = 2  # limits: the least counts, and one that cannot be read does not

# Units, as bits to shift right.
COUNT = 0
BYTES_TO_KB = 10
BYTES_TO_PAGES = mmap.PAGESIZE.bit_length() - 1

# What stands before the first row changes its width, so that wanders by some bytes between reads.
_SLACK = 256


class Row(NamedTuple):
    """One number of a file.

    `key` is what stands before the number. It begins with the line break before its line; or with something else, and
    is looked for behind the row before it, in the same line.
    """

    key: bytes
    field: str  # of Snapshot, or a name that the domain gave the table
    unit: int = COUNT
    end: bytes = b"\n"  # what stands behind the number
    form: int = PLAIN
    required: int = 0  # 1: without it the file is of no use
    several: int = SUM


class Table:
    """Pinned files. `names` says what is where in the list that read() returns, `files` are they themselves."""

    def __init__(self, blank: tuple[Any, ...], names: tuple[str, ...]) -> None:
        """`blank`: what stands for a name that no row fills."""
        self.names = names
        self.files: list[PinnedFile] = []
        self.error = 0  # errno of the first file that the last read() could not read
        self._blank = list(blank)
        self._several: tuple[tuple[int, int, int], ...] = ()  # what is where, what to add where, SUM or LEAST
        # File by file: fd, buffers for preadv, buffer, where to begin to look, of a file that is one plain number its
        # unit and place, rows, the file.
        self._plan: tuple[Any, ...] = ()

    def pin(self, path: str, rows: tuple[Row, ...]) -> PinnedFile:
        """Start-up. OSError naming the path; ValueError naming file and line for a required row that is not there, or
        one whose number is none."""
        file = PinnedFile(path)
        while file.more() > 0:
            pass
        try:
            first, learnt = self._learn(file, rows)
        except ValueError:
            file.close()
            raise
        self.files.append(file)
        self._plan += ((*file.parts(), first, _only(learnt), learnt, file),)
        return file

    def pin_all(self, paths: list[str], rows: tuple[Row, ...]) -> None:
        """Start-up. All of them, or none is left open."""
        before = list(self.files)
        try:
            for path in paths:
                self.pin(path, rows)
        except (OSError, ValueError):
            for file in self.files[len(before) :]:
                self.drop(file)
            raise

    def drop(self, file: PinnedFile) -> None:
        """Start-up. Close a file and read it no more; its rows count as not there."""
        self.files.remove(file)
        self._keep(tuple(part for part in self._plan if part[-1] is not file))
        file.close()

    def alone(self, file: PinnedFile) -> Table:
        """Start-up. A table of one of these files, which stays this table's."""
        return self._copy(tuple(part for part in self._plan if part[-1] is file))

    def without(self, file: PinnedFile | None) -> Table:
        """Start-up. A table of all files but this one; they stay this table's, too."""
        rest = self._copy(tuple(part for part in self._plan if part[-1] is not file))
        rest.files = [each for each in self.files if each is not file]
        return rest

    def _copy(self, plan: tuple[Any, ...]) -> Table:
        copy = Table(tuple(self._blank), self.names)
        copy._several = self._several
        copy._keep(plan)
        return copy

    def _keep(self, plan: tuple[Any, ...]) -> None:
        self._plan = plan
        read = {row[4] for part in plan for row in part[-2]}
        self._several = tuple(each for each in self._several if each[1] in read)

    def has(self, field: str) -> bool:
        """Start-up. Does any file tell of it?"""
        slot = self.names.index(field)
        return any(row[4] == slot for part in self._plan for row in part[-2])

    def close(self) -> None:
        """Close all files. Nothing is read any more, or it would be from whatever gets their descriptors next."""
        self._plan = ()
        for file in self.files:
            file.close()

    def _learn(self, file: PinnedFile, rows: tuple[Row, ...]) -> tuple[int, tuple[Any, ...]]:
        found, at = [], -1
        for row in rows:
            first, last = (0, file.end) if row.key[:1] == b"\n" else _rest_of_line(file, at)
            at = file.buf.find(row.key, first, last) if first >= 0 else -1
            if at < 0:
                if row.required:
                    raise ValueError(f"{file.path}: no line {_name(row)!r} with a number")
                continue
            start = at + len(row.key)
            stop = file.buf.find(row.end, start, file.end)
            value = _number(row.form, row.unit, file.buf[start : stop if stop >= 0 else start])
            if value == ABSENT:
                found_text = f"found {file.beginning()!r}, wanted a" if row.key == b"\n" else f"{_name(row)} has no"
                raise ValueError(f"{file.path}: line {file.line_of(at + 1)}: {found_text} number")
            found.append((at, row))
        found.sort(key=lambda each: each[0])
        learnt = []
        taken = {row[4] for part in self._plan for row in part[-2]}
        for _, row in found:
            slot = self.names.index(row.field)
            if slot in taken:
                self._several += ((slot, len(self._blank), row.several),)
                slot = len(self._blank)
                self._blank.append(ABSENT)
            taken.add(slot)
            learnt.append((row.key, len(row.key), row.end, _special(row), slot))
        return max(found[0][0] - _SLACK, 0) if found else 0, tuple(learnt)

    # Kill path.

    def read(self) -> list[Any]:
        """All numbers now, in the order of `names`; ABSENT where one cannot be read or is none."""
        values = self._blank.copy()
        self.error = seen = 0
        for fd, room, buf, at, only, rows, file in self._plan:
            try:
                end = preadv(fd, room, 0) + 1
            except OSError as failure:
                self.error = self.error or failure.errno or errno.EIO
                end = 1
            if only:
                unit, slot = only
                try:
                    value = int(buf[1:end]) >> unit
                except ValueError:
                    value = ABSENT
                values[slot] = value
                seen |= value
                continue
            for key, length, stop, special, slot in rows:
                try:
                    start = buf.index(key, at, end) + length
                    at = buf.index(stop, start, end)
                    if not special:
                        value = int(buf[start:at])
                    elif special == HUNDREDTHS:
                        value = int(buf[start:at].replace(b".", b""))  # the kernel prints %lu.%02lu
                    else:
                        value = _number(special[0], special[1], buf[start:at])
                except ValueError:
                    value, at, end = _again(file, key, stop, special, end)
                values[slot] = value
                seen |= value  # negative or too large if one of them is
        if not 0 <= seen <= MAX_INT64:
            self._mend(values)
        if self._several:
            for slot, other, several in self._several:
                values[slot] = _together(several, values[slot], values[other])
        del values[len(self.names) :]
        return values

    def _mend(self, values: list[Any]) -> None:
        for *_, rows, _ in self._plan:
            for row in rows:
                if not 0 <= values[row[4]] <= MAX_INT64:
                    values[row[4]] = ABSENT


def _name(row: Row) -> str:
    return row.key.strip().decode()


def _special(row: Row) -> Any:
    # What read() asks first: 0 for a plain number, HUNDREDTHS, or form and unit.
    if row.form == HUNDREDTHS:
        return HUNDREDTHS
    return (row.form, row.unit) if row.form or row.unit else 0


def _only(learnt: tuple[Any, ...]) -> tuple[int, ...]:
    # Unit and place of the number if the file is one plain number.
    key, _, stop, special, slot = learnt[0] if len(learnt) == 1 else ((), 0, (), 0, 0)
    form, unit = special if isinstance(special, tuple) else (special, COUNT)
    return (unit, slot) if key == stop == b"\n" and form == PLAIN else ()


def _number(form: int, unit: int, text: bytearray) -> int:
    """What read() makes of it, but strictly."""
    if form in (NODES, LIMIT):
        return _written(form, text) >> unit
    if form == HUNDREDTHS:
        text = text[:-3] + text[-2:] if text[-3:-2] == b"." else text[:0]
    value = int(text) >> unit if text.strip().isdigit() else ABSENT
    return value if value <= MAX_INT64 else ABSENT


def _written(form: int, text: bytearray) -> int:
    # ABSENT stays ABSENT when it is shifted.
    if form == LIMIT:
        return UNLIMITED if text == b"max" else int(text) if text.isdigit() else ABSENT
    total = 0 if text else ABSENT
    for part in text.split():
        digits = part[part.find(b"=") + 1 :]
        if not digits.isdigit():
            return ABSENT
        total += int(digits)
    return total


def _together(several: int, first: int, second: int) -> int:
    if several == LEAST:
        return second if first < 0 or 0 <= second < first else first
    total = first + second
    return total if first >= 0 and second >= 0 and total <= MAX_INT64 else ABSENT


def _again(file: PinnedFile, key: bytes, stop: bytes, special: Any, end: int) -> tuple[int, int, int]:
    # (the number, where to go on, the end of the text). The layout moved, the kernel handed out the file in pieces and
    # the key is in a later one, or what is there is no number. A row behind another is not looked for elsewhere.
    if key[:1] != b"\n" or end <= 1:
        return ABSENT, end, end
    file.end = end
    at = file.buf.find(key, 0, end)
    while at < 0 and file.more() > 0:
        at = file.buf.find(key, 0, file.end)
    start, end = at + len(key), file.end
    at = file.buf.find(stop, start, end) if at >= 0 else -1
    if at < 0:
        return ABSENT, end, end
    form, unit = special or (PLAIN, COUNT) if special != HUNDREDTHS else (HUNDREDTHS, COUNT)
    return _number(form, unit, file.buf[start:at]), at, end


def _rest_of_line(file: PinnedFile, at: int) -> tuple[int, int]:
    if at < 0:
        return -1, -1
    stop = file.buf.find(b"\n", at + 1, file.end)
    return at + 1, stop if stop >= 0 else file.end


def numbers_in(path: str, rows: tuple[Row, ...]) -> dict[str, int]:
    """Start-up. The numbers of one file by their fields, read once. Raises as pin() does."""
    names = tuple(dict.fromkeys(row.field for row in rows))
    table = Table((ABSENT,) * len(names), names)
    table.pin(path, rows)
    values = table.read()
    table.close()
    return dict(zip(names, values))

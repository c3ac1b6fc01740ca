"""Flat files of lines "key value": vmstat, memory.events, memory.oom_control, memory.stat."""

from __future__ import annotations

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from .number import MAX_INT64, number_at

# Values before a key change width, so it wanders by a few bytes between reads; we start looking this far before it.
_SLACK = 48


class Counters:
    """Some keys of a flat file. `values[i]` belongs to `keys[i]`; a key this kernel lacks is ABSENT for ever."""

    __slots__ = ("_hints", "file", "keys", "present", "values")

    def __init__(self, path: str, keys: tuple[bytes, ...], required: tuple[bytes, ...] = (), whole: int = 0) -> None:
        """ValueError naming file and key if one of `required` is missing or any key's value is no number."""
        self.file = PinnedFile(path, whole=whole)
        self.keys = keys
        self.values = [ABSENT] * len(keys)
        while self.file.more() > 0:
            pass
        self.present: list[tuple[int, bytes, int]] = []  # index, what a line begins with, and its length
        self._hints = [0] * len(keys)
        try:
            self._learn(required)
        except ValueError:
            self.file.close()
            raise

    def _learn(self, required: tuple[bytes, ...]) -> None:
        file = self.file
        for index, key in enumerate(self.keys):
            needle = b"\n" + key + b" "
            at = file.buf.find(needle, 0, file.end)
            if at < 0:
                if key in required:
                    raise ValueError(f"{file.path}: no line {key.decode()!r}")
                continue
            self.present.append((index, needle, len(needle)))
            stop = file.buf.find(b"\n", at + 1, file.end)
            value = number_at(file.buf, at + len(needle), stop if stop >= 0 else file.end)
            if value == ABSENT:
                raise ValueError(f"{file.path}: line {file.line_of(at + 1)}: {key.decode()} has no number")
            self.values[index] = value
            self._hints[index] = max(at - _SLACK, 0)

    def read(self) -> int:
        """Fresh `values`; bytes read or a negative errno (then all are ABSENT)."""
        file = self.file
        got = file.read()
        values, hints = self.values, self._hints
        if got < 0:
            for index, _, _ in self.present:
                values[index] = ABSENT
            return got
        buf, end = file.buf, file.end
        for index, needle, length in self.present:
            at = buf.find(needle, hints[index], end)
            if at < 0:
                at, end = self._search(needle)
                if at < 0:
                    values[index] = ABSENT
                    continue
            start = at + length
            text = buf[start : buf.find(b"\n", start, end)]
            value = int(text) if text.isdigit() else ABSENT
            values[index] = value if value <= MAX_INT64 else ABSENT
            hints[index] = at - _SLACK if at > _SLACK else 0
        return got

    def _search(self, needle: bytes) -> tuple[int, int]:
        # The layout moved, or the kernel handed out the file in pieces and the key is in a later one.
        file = self.file
        at = file.buf.find(needle, 0, file.end)
        while at < 0 and file.more() > 0:
            at = file.buf.find(needle, 0, file.end)
        return at, file.end

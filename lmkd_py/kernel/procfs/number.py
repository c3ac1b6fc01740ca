"""One integer out of kernel text, and a pinned file that holds just one."""

from __future__ import annotations

from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile

MAX_INT64 = (1 << 63) - 1  # what a trace can store; nothing real is larger
UNLIMITED = MAX_INT64  # "max" of cgroup v2


def number_at(buf: bytearray, start: int, stop: int) -> int:
    """Decimal digits in buf[start:stop], blanks around them allowed; ABSENT for anything else."""
    text = buf[start:stop].strip()
    if not text.isdigit():
        return ABSENT
    value = int(text)
    return value if value <= MAX_INT64 else ABSENT


class NumberFile:
    """A file with one number, or "max" for UNLIMITED (memcg limits and usages)."""

    __slots__ = ("file", "value")

    def __init__(self, path: str) -> None:
        self.file = PinnedFile(path)
        self.value = ABSENT
        self.read()
        if self.value == ABSENT:
            self.file.close()
            raise ValueError(f"{path}: line 1: found {bytes(self.file.buf[1:41])!r}, wanted one number or max")

    def read(self) -> int:
        """Fresh `value`, which is also returned; ABSENT if unreadable, a negative errno if the file is gone."""
        file = self.file
        got = file.read()
        if got < 0:
            self.value = ABSENT
            return got
        text = file.buf[1 : file.end]
        try:
            value = int(text)
        except ValueError:
            value = UNLIMITED if text == b"max\n" else ABSENT
        self.value = value = value if 0 <= value <= MAX_INT64 else ABSENT
        return value

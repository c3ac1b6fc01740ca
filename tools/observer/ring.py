"""Pages of the kernel's trace ring buffer (include/linux/ring_buffer.h), one CPU's, into records with times in ns."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

PAGE_HEAD = struct.Struct("<Qq")  # time stamp, bytes committed with the flags below
COMMITTED = 0xFFFFF
MISSED_EVENTS, MISSED_STORED = 1 << 31, 1 << 30
TYPE_BITS = 5
PADDING, TIME_EXTEND, TIME_STAMP = 29, 30, 31  # type_len beyond which it is no record of up to 28 words
DELTA_BITS = 27


class Hit(NamedTuple):
    """One tracepoint hit: when, on which CPU, and the tracepoint's own bytes (common fields first)."""

    time_ns: int
    cpu: int
    raw: memoryview


class Ring:
    """One CPU's buffer of a trace instance, read without waiting."""

    def __init__(self, directory: str, cpu: int, page_bytes: int) -> None:
        """directory: the instance's; page_bytes: its sub-buffer size."""
        self.cpu = cpu
        self.missed = 0  # told by the pages themselves
        self._page_bytes = page_bytes
        self._fd = os.open(f"{directory}/per_cpu/cpu{cpu}/trace_pipe_raw", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._stats = os.open(f"{directory}/per_cpu/cpu{cpu}/stats", os.O_RDONLY | os.O_CLOEXEC)

    def drain(self) -> Iterator[Hit]:
        """Yield every record that is in the buffer now."""
        while True:
            try:
                page = os.read(self._fd, self._page_bytes)
            except BlockingIOError:
                return
            if not page:
                return
            yield from self._records(memoryview(page))

    def _records(self, page: memoryview) -> Iterator[Hit]:
        now, commit = PAGE_HEAD.unpack_from(page)
        if commit & MISSED_EVENTS:
            self.missed += 1  # how many it was, the stats tell
        at, end = PAGE_HEAD.size, PAGE_HEAD.size + (commit & COMMITTED)
        while at < end:
            head, word = struct.unpack_from("<II", page, at) if at + 8 <= end else (*_one(page, at), 0)
            kind, delta = head & ((1 << TYPE_BITS) - 1), head >> TYPE_BITS
            at += 4
            if kind == TIME_EXTEND:
                now += delta + (word << DELTA_BITS)
                at += 4
            elif kind == TIME_STAMP:
                # An absolute time of 59 bits; the rest is as it was.
                now = (now & ~((1 << 59) - 1)) | delta | (word << DELTA_BITS)
                at += 4
            elif kind == PADDING:
                if not delta:
                    return  # nothing more on this page
                now += delta
                at += word
            else:
                now += delta
                size = kind * 4
                if not kind:
                    size = (word - 4 + 3) & ~3
                    at += 4
                yield Hit(now, self.cpu, page[at : at + size])
                at += size

    def lost(self) -> int:
        """Hits that found the buffer full or could not be written since the start."""
        text = os.pread(self._stats, 4096, 0).decode()
        values = dict(line.split(": ") for line in text.splitlines())
        told = sum(int(values[name]) for name in ("overrun", "commit overrun", "dropped events"))
        return max(told, self.missed)

    def close(self) -> None:
        """Closes the files; the instance itself is another's to remove."""
        os.close(self._fd)
        os.close(self._stats)


def _one(page: memoryview, at: int) -> tuple[int]:
    head: int = struct.unpack_from("<I", page, at)[0]
    return (head,)

"""The registration file: one line `pid uid adj` a process, replaced as a whole by whoever keeps it."""

from __future__ import annotations

from typing import NamedTuple


class Line(NamedTuple):
    """One registration."""

    pid: int
    uid: int
    adj: int


def parse_procs(data: bytes) -> tuple[list[Line], list[str]]:
    """Registrations in file order, and a sentence for each line that is none (`line 3: found 'x', wanted ...`)."""
    lines: list[Line] = []
    refused: list[str] = []
    for number, raw in enumerate(data.split(b"\n"), 1):
        words = raw.split(b"#", 1)[0].split()
        if not words:
            continue
        try:
            if len(words) != 3:
                raise ValueError
            line = Line(int(words[0]), int(words[1]), int(words[2]))
            if not (0 <= line.pid < 1 << 31 and 0 <= line.uid < 1 << 32):
                raise ValueError
            lines.append(line)
        except ValueError:
            refused.append(f"procs line {number}: found {raw[:60].decode('utf-8', 'replace')!r}, wanted 'pid uid adj'")
    return lines, refused

"""The registration file: one line `pid uid adj` a process, replaced as a whole by whoever keeps it."""

from __future__ import annotations

from typing import NamedTuple

from .complaints import SHOWN

MOST_DIGITS = 64  # of the three numbers of a line


class Line(NamedTuple):
    """One line of the file; `adj` is an oom_score_adj."""

    pid: int
    uid: int
    adj: int


def parse_procs(data: bytes) -> tuple[list[Line], list[str]]:
    """Registrations in file order, and a sentence for each line that is none (`line 3: found 'x', wanted ...`).

    Of more than eight such lines the last sentence tells how many.
    """
    lines: list[Line] = []
    refused: list[str] = []
    more = 0
    for number, raw in enumerate(data.split(b"\n"), 1):
        words = raw.split(b"#", 1)[0].split()
        if not words:
            continue
        try:
            # int() takes `1_0` for a number, and its time grows with the square of the digits up to Python 3.10.
            if len(words) != 3 or len(b"".join(words)) > MOST_DIGITS or b"_" in b"".join(words):
                raise ValueError
            line = Line(int(words[0]), int(words[1]), int(words[2]))
            if not (0 <= line.pid < 1 << 31 and 0 <= line.uid < 1 << 32):
                raise ValueError
            lines.append(line)
        except ValueError:
            if len(refused) == SHOWN:
                more += 1
                continue
            refused.append(f"procs line {number}: found {raw[:60].decode('utf-8', 'replace')!r}, wanted 'pid uid adj'")
    return lines, [*refused, *([f"procs: and {more} more lines like that"] if more else [])]

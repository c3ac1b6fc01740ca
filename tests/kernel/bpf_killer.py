"""A killer that only answers kicks, as a process of its own: `python -m tests.kernel.bpf_killer FD...`.

It says one line when it waits, and one a second later counts nothing: what it did is read from the shared words.
"""

from __future__ import annotations

import select
import sys

from lmkd_py.kernel.bpf import AttachedProgram, KillerGuard


def main() -> None:
    """Poll the ring, take the kick, answer it; for ever."""
    variant, guard, rows, log, ring = map(int, sys.argv[1:6])
    killer = KillerGuard(AttachedProgram(variant, guard, rows, log, ring, (), ()))
    print("waiting", flush=True)
    while True:
        select.select([killer.ring_fd], [], [])
        killer.answer(killer.kick())


if __name__ == "__main__":
    main()

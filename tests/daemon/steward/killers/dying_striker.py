"""The daemon, with a killer that is ended between a strike and its record.

A program; arguments: PACKAGE_PARENT FLAG run --root DIR. FLAG is a file that is made then: it happens once.
"""

from __future__ import annotations

import os
import sys


def main() -> None:
    """Alter the ring, run the daemon."""
    parent, flag, *words = sys.argv[1:]
    sys.path.insert(0, parent)
    from lmkd_py.daemon import lean

    lean.install()
    from lmkd_py.daemon.commands import main as command
    from lmkd_py.daemon.killer.ring import Ring
    from lmkd_py.wire.record import Record

    write = Ring.write

    def die_first(self: Ring, record: Record) -> None:
        if record.outcome.pid > 0 and record.outcome.pid != os.getpid() and not os.path.exists(flag):
            os.close(os.open(flag, os.O_CREAT))
            os.kill(os.getpid(), 9)
        write(self, record)

    Ring.write = die_first  # type: ignore[method-assign]
    command(words)


if __name__ == "__main__":
    main()

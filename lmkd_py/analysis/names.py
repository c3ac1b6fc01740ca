"""By which of its names a process is told."""

from __future__ import annotations

import re

from ..wire.header import Process

# As Android names processes: a package, and behind a colon which of its processes.
PACKAGE = re.compile(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+(:\S+)?")


def names_of(process: Process) -> tuple[str, str]:
    """(the name to tell, comm where that is another one).

    The command line names an application in full; but where comm is no part of it, the process has named itself since.
    """
    comm, cmdline = process.name, process.cmdline
    program = cmdline.rpartition("/")[2]
    if PACKAGE.fullmatch(cmdline):
        told = cmdline
    elif program and comm and (program.startswith(comm) or program.endswith(comm)):
        told = program
    else:
        told = comm or program
    return told, comm if comm != told else ""

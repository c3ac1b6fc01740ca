"""The negative control: a daemon whose killer reads its counters as is usual, open, read and close at every wakeup."""

from __future__ import annotations

import os
from typing import Any

from ...core.config import MonitorConfig
from ...kernel.sensing.domain import Domain, open_domain
from ..killer import child

# What the daemon is started with in place of __main__.START.
SPOILT = (
    "import sys; sys.path.insert(0, sys.argv.pop(1)); from lmkd_py.daemon import lean; lean.install(); "
    "from lmkd_py.daemon.selftest.careless import spoil; spoil(); "
    "from lmkd_py.daemon.commands import main; main(sys.argv[1:])"
)


def spoil() -> None:
    """In the steward, before it forks: every killer from here on is a careless one."""
    child.open_domain = _open  # type: ignore[attr-defined, assignment]


def _open(monitor: MonitorConfig) -> Domain:
    domain = open_domain(monitor)
    sample: Any = domain.sample

    def careless(*words: Any) -> Any:
        for path in ("/proc/meminfo", "/proc/vmstat"):
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            os.read(fd, 1 << 16)
            os.close(fd)
        return sample(*words)

    domain.sample = careless  # type: ignore[method-assign, assignment]
    return domain

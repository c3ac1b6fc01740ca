"""The memory of a virtual device, as the device itself can read it: its daemon guards that memory and nothing else.

A virtual device shows /proc and /sys of the machine that runs it, so a daemon inside would take that machine's memory
for its own. The maker of the device puts the file MARK into the device's /dev: kind, path and PSI path of the memory
cgroup that is the device's, a line each. A real device and an emulated board have no such file.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Optional

from ..core.config import Config, ConfigError, DomainKind, MonitorConfig

MARK = "/dev/lmkd_py.domain"
MAX_BYTES = 8192
# A cgroup of the selftest's own, with nobody in it but who the selftest started.
SELFTEST = "lmkd_selftest_"
_CGROUPS = (DomainKind.MEMCG_V1, DomainKind.CGROUP_V2)


class Confines(NamedTuple):
    """The device's memory cgroup; kind SYSTEM: the device has none, and nothing may be guarded there."""

    kind: int = DomainKind.SYSTEM
    path: str = ""
    psi_path: str = ""

    @property
    def has_memory(self) -> bool:
        """Whether the device has a memory cgroup of its own."""
        return self.kind in _CGROUPS


def encode_confines(confines: Confines) -> str:
    """The three lines of the file MARK."""
    return f"{confines.kind}\n{confines.path}\n{confines.psi_path}\n"


def decode_confines(text: str) -> Confines:
    """Text that is damaged gives a device without memory: it must never widen what is guarded."""
    lines = [*text.split("\n"), "", "", ""]
    kind = int(lines[0]) if lines[0] in ("1", "2") else DomainKind.SYSTEM
    if kind == DomainKind.SYSTEM or not lines[1].startswith("/"):
        return Confines()
    return Confines(kind, lines[1], lines[2] if lines[2].startswith("/") else "")


def read_confines(mark: str = MARK) -> Optional[Confines]:
    """Those of the virtual device we run on; None on every other machine."""
    try:
        fd = os.open(mark, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError:
        return Confines()  # it is there
    try:
        return decode_confines(os.read(fd, MAX_BYTES).decode("utf-8", "surrogateescape"))
    except OSError:
        return Confines()
    finally:
        os.close(fd)


def inside(config: Config, confines: Optional[Confines]) -> Config:
    """The config with the device's own memory as its domain; unchanged where there are no confines, or no memory."""
    if confines is None or not confines.has_memory:
        return config
    kind, path, psi_path = confines
    domain = config.monitor.domain._replace(kind=kind, path=path, psi_path=psi_path)
    return config._replace(monitor=config.monitor._replace(domain=domain))


def need_inside(monitor: MonitorConfig, confines: Optional[Confines]) -> None:
    """ConfigError if the domain is not the device's own memory. A config that only observes may look at all."""
    if confines is None:
        return
    if monitor.domain.kind not in _CGROUPS:
        if monitor.observe:
            return
        raise ConfigError("monitor.domain.kind", "the whole system", _wanted(confines))
    if os.path.basename(os.path.normpath(monitor.domain.path)).startswith(SELFTEST):
        return
    if not confines.has_memory or os.path.realpath(monitor.domain.path) != os.path.realpath(confines.path):
        raise ConfigError("monitor.domain.path", monitor.domain.path, _wanted(confines))


def _wanted(confines: Confines) -> str:
    if not confines.has_memory:
        return "observe 1: this virtual device has no memory of its own, the rest is the host's"
    return f"this virtual device's own memory, {confines.path}; lmkctl start sets it"

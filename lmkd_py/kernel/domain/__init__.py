"""Memory domains: the whole system, a v1 memory cgroup, a v2 cgroup."""

from __future__ import annotations

from ...core.config import MonitorConfig
from .base import Domain

__all__ = ["Domain", "open_domain"]


def open_domain(monitor: MonitorConfig, root: str = "/") -> Domain:
    """Open and read once everything the domain of `monitor` needs.

    `root` is where /proc, /sys and the cgroup path are looked up (a captured tree in tests). OSError names the missing
    directory or file, ValueError the file, line and item that cannot be understood.
    """
    raise NotImplementedError

"""Memory domains: the whole system, a v1 memory cgroup, a v2 cgroup."""

from __future__ import annotations

from ...core.config import DomainKind, MonitorConfig
from .base import Domain
from .cgroup_v2 import CgroupV2Domain
from .memcg_v1 import MemcgV1Domain
from .system import SystemDomain

_KINDS: dict[int, type[Domain]] = {
    DomainKind.SYSTEM: SystemDomain,
    DomainKind.MEMCG_V1: MemcgV1Domain,
    DomainKind.CGROUP_V2: CgroupV2Domain,
}

__all__ = ["Domain", "open_domain"]


def open_domain(monitor: MonitorConfig, root: str = "/") -> Domain:
    """Open and read once everything the domain of `monitor` needs.

    `root` is where /proc, /sys and the cgroup path are looked up (a captured tree in tests). OSError names the missing
    directory or file, ValueError the file, line and item that cannot be understood.
    """
    if monitor.domain_kind not in _KINDS:
        raise ValueError(f"domain_kind {monitor.domain_kind}: wanted 0 (system), 1 (v1 memory cgroup) or 2 (v2 cgroup)")
    domain = _KINDS[monitor.domain_kind](monitor, root)
    try:
        domain.pin()
    except (OSError, ValueError):
        domain.close()
        raise
    return domain

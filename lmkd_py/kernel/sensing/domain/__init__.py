"""Memory domains: the whole system, a v1 memory cgroup, a v2 cgroup."""

from __future__ import annotations

from ....core.config import DomainKind, MonitorConfig
from .base import Domain
from .cgroup_v2 import CgroupV2Domain
from .choose import DomainChoice, choose, resolved
from .memcg_v1 import MemcgV1Domain
from .memory_of import MixedMemory
from .system import SystemDomain

_KINDS: dict[int, type[Domain]] = {
    DomainKind.SYSTEM: SystemDomain,
    DomainKind.MEMCG_V1: MemcgV1Domain,
    DomainKind.CGROUP_V2: CgroupV2Domain,
}

__all__ = ["DomainChoice", "Domain", "MixedMemory", "choose", "open_domain", "resolved"]


def open_domain(monitor: MonitorConfig, root: str = "/") -> Domain:
    """Open and read once everything the domain of `monitor` needs.

    `root` is where /proc, /sys and the cgroup path are looked up (a captured tree in tests). OSError names the missing
    directory or file, ValueError the file, line and item that cannot be understood; MixedMemory is one.
    """
    if monitor.domain.kind == DomainKind.AUTO:
        monitor = resolved(monitor, choose(root))
    if monitor.domain.kind not in _KINDS:
        wanted = "0 (system), 1 (v1 memory cgroup), 2 (v2 cgroup) or 3 (auto)"
        raise ValueError(f"domain.kind {monitor.domain.kind}: wanted {wanted}")
    domain = _KINDS[monitor.domain.kind](monitor, root)
    try:
        domain.pin()
    except (OSError, ValueError):
        domain.close()
        raise
    return domain

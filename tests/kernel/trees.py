"""The captured trees, an obvious slow parser to check the fast ones against, and small files to break."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig

TREES = Path(__file__).resolve().parent.parent / "data" / "proc"
SHAPES = sorted(path.name for path in TREES.iterdir() if path.is_dir())

X86, ARM_V1, ARM_V2, PHONE = "x86-no-swap-v1", "arm64-zram-cma-v1", "arm64-two-nodes-v2", "phone-zram-4.14"

MONITORS = {
    X86: MonitorConfig(
        domain=DomainConfig(DomainKind.MEMCG_V1, "/sys/fs/cgroup/memory/apps", "/sys/fs/cgroup/unified/apps")
    ),
    ARM_V1: MonitorConfig(domain=DomainConfig(DomainKind.MEMCG_V1, "/dev/memcg/apps", "/dev/cg2/apps")),
    ARM_V2: MonitorConfig(domain=DomainConfig(DomainKind.CGROUP_V2, "/dev/cg2/apps.slice/apps")),
    PHONE: MonitorConfig(domain=DomainConfig(DomainKind.MEMCG_V1, "/dev/memcg/apps")),
}


def text(shape: str, path: str) -> str:
    return (TREES / shape / path.lstrip("/")).read_text()


def meminfo(shape: str) -> dict[str, int]:
    return {key: int(value) for key, value in re.findall(r"^(\S+): +(\d+) kB$", text(shape, "proc/meminfo"), re.M)}


def flat(shape: str, path: str) -> dict[str, int]:
    return {key: int(value) for key, value in re.findall(r"^(\S+) (\d+)$", text(shape, path), re.M)}


def watermarks(shape: str) -> tuple[int, int, int]:
    """Sums of the zones' watermarks, computed by another method than the reader's."""
    sums = {"min": 0, "low": 0, "high": 0}
    for zone in re.split(r"^Node ", text(shape, "proc/zoneinfo"), flags=re.M)[1:]:
        body = zone[zone.index("pages free") :]
        value = {key: int(n) for key, n in re.findall(r"^        (min|low|high|present) +(\d+)$", body, re.M)}
        protection = re.search(r"protection: \(([^)]*)\)", body)
        if value["present"] and protection:
            for key in sums:
                sums[key] += value[key] + max(map(int, protection[1].split(",")))
    return sums["min"], sums["low"], sums["high"]


@contextmanager
def suppress_named(*words: str) -> Iterator[None]:
    """The documented error is fine, as long as it names what it must."""
    try:
        yield
    except (OSError, ValueError) as failure:
        if not all(word in str(failure) for word in words):
            raise

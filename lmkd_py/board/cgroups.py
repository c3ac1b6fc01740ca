"""The memory cgroup of a sandbox: where one can be made here, how it is limited, what its counters say."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass

from ..core.config import DomainKind
from ..core.mountinfo import from_its_root, is_v1, is_v2, parse_mountinfo
from .errors import SandboxError

MIB = 1 << 20
# v2 cannot switch kernel OOM killing off. Between memory.high and memory.max allocations are slowed down instead
# of refused; this share of the limit is that gap.
V2_GAP_PCT = 8
_HOW = "run it as root, or inside `systemd-run --user --scope -p Delegate=yes`"


@dataclass(frozen=True, slots=True)
class Place:
    """Directories of one sandbox; `places` are the cgroup.procs files a member is written to."""

    kind: int  # DomainKind
    memory: str  # limit and counters
    psi: str  # memory.pressure; the same directory on v2
    daemon: str  # an unlimited cgroup for the daemon, so that every process it leaves behind can be found
    freezer: str  # a v1 freezer or v2 cgroup for frozen members; "" where there is none

    @property
    def places(self) -> tuple[str, ...]:
        """cgroup.procs files a member belongs to."""
        return tuple(os.path.join(path, "cgroup.procs") for path in dict.fromkeys((self.memory, self.psi)))

    @property
    def directories(self) -> tuple[str, ...]:
        """Every directory of it, each once, in the order it is cleared."""
        return tuple(path for path in dict.fromkeys((self.daemon, self.memory, self.psi, self.freezer)) if path)


def _mounts(mountinfo: str) -> dict[str, str]:
    """Mount points by what matters here: `v1:memory`, `v1:freezer`, `v2`."""
    with open(mountinfo, "rb") as file:
        mounts = parse_mountinfo(file.read())
    found = {
        "v1:memory": from_its_root(mounts, lambda mount: is_v1(mount, "memory")),
        "v1:freezer": from_its_root(mounts, lambda mount: is_v1(mount, "freezer")),
        "v2": from_its_root(mounts, is_v2),
    }
    return {name: mount.point for name, mount in found.items() if mount is not None}


def _own_v2(cgroup: str) -> str:
    with open(cgroup) as file:
        for line in file:
            if line.startswith("0::"):
                return line[3:].strip()
    return "/"


def _words(path: str) -> list[str]:
    with open(path) as file:
        return file.read().split()


def _delegated(mount: str, own: str) -> str:
    """The nearest cgroup at or above our own in which we may make one with a memory controller.

    Moving a process takes write access to cgroup.procs of the common ancestor, which is the one returned.
    """
    path = own.rstrip("/")
    while True:
        here = mount + path
        control = os.path.join(here, "cgroup.subtree_control")
        if os.access(here, os.W_OK) and os.access(os.path.join(here, "cgroup.procs"), os.W_OK):
            if not path and "memory" not in _words(control):
                with suppress(OSError), open(control, "w") as file:  # only the root may have members and do this
                    file.write("+memory")
            if "memory" in _words(control):
                return here
        if not path:
            raise SandboxError(
                f"no cgroup at or above {own or '/'} gives this user a memory controller; wanted one: {_HOW}"
            )
        path = path.rpartition("/")[0]


def find_place(name: str, mountinfo: str = "/proc/self/mountinfo", cgroup: str = "/proc/self/cgroup") -> Place:
    """Where the sandbox `name` goes on this machine; makes nothing yet. SandboxError if nothing here will do."""
    mounts = _mounts(mountinfo)
    memory, unified, freezer = mounts.get("v1:memory"), mounts.get("v2"), mounts.get("v1:freezer")
    if memory:
        if not os.access(memory, os.W_OK):
            raise SandboxError(
                f"{memory} is not writable for uid {os.geteuid()}; wanted a memory cgroup: run it as root"
            )
        twin = os.path.join(unified, name) if unified else ""
        pen = os.path.join(unified or memory, name + "_daemon")
        return Place(
            DomainKind.MEMCG_V1,
            os.path.join(memory, name),
            twin or os.path.join(memory, name),
            pen,
            os.path.join(freezer, name) if freezer else "",
        )
    if unified:
        base = _delegated(unified, _own_v2(cgroup))
        domain = os.path.join(base, name)
        return Place(DomainKind.CGROUP_V2, domain, domain, domain + "_daemon", "")
    raise SandboxError("no cgroup file system is mounted; wanted cgroup v1 memory or cgroup v2 under /sys/fs/cgroup")


def write(directory: str, file: str, text: str) -> None:
    """Write one control file. SandboxError names it."""
    try:
        with open(os.path.join(directory, file), "w") as out:
            out.write(text)
    except OSError as error:
        raise SandboxError(f"{directory}/{file} does not take {text!r}: {error.strerror}; {_HOW}") from error


def read(directory: str, file: str) -> str:
    """Text of one control file. Raises OSError."""
    with open(os.path.join(directory, file)) as source:
        return source.read()


def limit(place: Place, limit_mib: int) -> None:
    """Set the limit, keep swap out of it, and keep the kernel's OOM killer out as far as the cgroup can."""
    size = limit_mib * MIB
    if place.kind == DomainKind.MEMCG_V1:
        write(place.memory, "memory.limit_in_bytes", str(size))
        # No swapping, rather than a memsw limit: that one would be hit first and memory.failcnt never move.
        write(place.memory, "memory.swappiness", "0")
        write(place.memory, "memory.oom_control", "1")
        return
    write(place.memory, "memory.max", str(size))
    write(place.memory, "memory.high", str(size - size * V2_GAP_PCT // 100))
    write(place.memory, "memory.oom.group", "0")
    if os.path.exists(os.path.join(place.memory, "memory.swap.max")):
        write(place.memory, "memory.swap.max", "0")


def keyed(directory: str, file: str, key: str) -> int:
    """Value of `key` in a file of `key value` lines; 0 if it has no such key."""
    for line in read(directory, file).splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return int(value)
    return 0


def oom_kills(place: Place) -> int:
    """How many tasks of the cgroup the kernel's own OOM killer has killed."""
    return keyed(
        place.memory, "memory.oom_control" if place.kind == DomainKind.MEMCG_V1 else "memory.events", "oom_kill"
    )


def usage_kb(place: Place) -> int:
    """Memory in use, page cache included, in kB."""
    v1 = place.kind == DomainKind.MEMCG_V1
    return int(read(place.memory, "memory.usage_in_bytes" if v1 else "memory.current")) >> 10


def psi_total_us(place: Place, which: str = "some") -> int:
    """Stall time so far by memory.pressure, `some` or `full`, in us."""
    for line in read(place.psi, "memory.pressure").splitlines():
        kind, *fields = line.split()
        if kind == which:
            return int(fields[-1].partition("=")[2])
    return 0

"""What domain.kind AUTO stands for here: in a container its own limited memory cgroup, else the whole system.

Start-up only, before the daemon moves itself to another cgroup. A container is where we see less than the host: the
cgroup mount shows a child of the hierarchy, pid 1 lives in a cgroup of its own, the top of what we see has files that
only children have, or /proc/meminfo tells of less memory than the kernel has. A limit on our own unit alone, as
systemd's MemoryMax sets it, is none.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ....core.config import DomainKind, MonitorConfig
from ....core.mountinfo import Mount, below_root
from ..cgroup_files import UNLIMITED, read
from ..mounts import under, v1_mount, v2_mount
from ..placement import cgroup_of
from .members import cgroup_members
from .memory_of import MemorySizes, sizes

_INITIAL_NAMESPACE = "cgroup:[4026531835]"  # PROC_CGROUP_INIT_INO, the same on every kernel (include/linux/proc_ns.h)
_INIT_SCOPE = "/init.scope"  # where systemd puts pid 1 of a machine


class Sign:
    """What tells that we are in a container. Numbers go into notes."""

    NONE = 0
    MOUNT = 1  # the mount shows a child of the hierarchy
    INIT = 2  # pid 1 lives in a cgroup of its own
    TOP = 3  # the top of what we see is not the root of the hierarchy
    NAMESPACE = 4  # our cgroup namespace is not the initial one
    MEMORY = 5  # meminfo tells of less memory than the kernel has


# In the order of the numbers.
SIGNS = (
    "",
    "the cgroup mount shows a child of the hierarchy",
    "pid 1 lives in a cgroup of its own",
    "the top cgroup in sight is not the root of the hierarchy",
    "the cgroup namespace is not the initial one",
    "/proc/meminfo tells of less memory than the kernel has",
)


class DomainChoice(NamedTuple):
    """A domain, and why. `sign`: of the container we are in; `limit_kb`: of the cgroup, 0 for the whole system."""

    kind: int = DomainKind.SYSTEM
    path: str = ""
    psi_path: str = ""
    sign: int = Sign.NONE
    limit_kb: int = 0

    def describe(self) -> str:
        """One line: the chosen domain, and why."""
        if self.kind != DomainKind.SYSTEM:
            what = "v1 memory cgroup" if self.kind == DomainKind.MEMCG_V1 else "v2 cgroup"
            return f"{what} {self.path}, limit {self.limit_kb >> 10} MiB: in a container, {SIGNS[self.sign]}"
        if self.sign:
            return f"whole system: in a container, {SIGNS[self.sign]}, but no memory limit of it is in sight"
        return "whole system: not in a container"


class _View(NamedTuple):
    """One hierarchy as we see it."""

    kind: int
    mount: Mount
    own: str  # our path in it, as /proc/self/cgroup has it
    init: str  # that of pid 1


def choose(root: str = "/") -> DomainChoice:
    """What AUTO stands for. Never raises: what cannot be read tells nothing."""
    views = _views(root)
    sign, seen = _sign(root, views)
    if sign == Sign.NONE:
        return DomainChoice()
    for view in views:
        for directory in _container(root, view, sign):
            limit_kb = _limit_kb(directory, view.kind)
            if limit_kb and (limit_kb < seen.host_kb or not seen.host_kb):
                twin = _twin(root, views, directory) if view.kind == DomainKind.MEMCG_V1 else ""
                return DomainChoice(view.kind, _above(root, directory), _above(root, twin), sign, limit_kb)
    return DomainChoice(sign=sign)


def resolved(monitor: MonitorConfig, choice: DomainChoice) -> MonitorConfig:
    """The monitor with what AUTO stands for; any other kind stays."""
    if monitor.domain.kind != DomainKind.AUTO:
        return monitor
    domain = monitor.domain._replace(kind=choice.kind, path=choice.path, psi_path=choice.psi_path)
    return monitor._replace(domain=domain)


def _views(root: str) -> list[_View]:
    found = []
    kinds = ((DomainKind.MEMCG_V1, v1_mount("memory", root), "memory"), (DomainKind.CGROUP_V2, v2_mount(root), ""))
    for kind, mount, controller in kinds:
        if mount is not None:
            own, init = cgroup_of(controller, root), cgroup_of(controller, root, "1")
            found.append(_View(kind, mount, own, init))
    return found


def _sign(root: str, views: list[_View]) -> tuple[int, MemorySizes]:
    seen = sizes(root)
    for view in views:
        if view.mount.root != "/" and (".." in view.mount.root or below_root(view.mount, view.own) is not None):
            return Sign.MOUNT, seen
    for view in views:
        # "/..": it is outside our namespace, which therefore begins below the root.
        if view.init not in ("", "/", _INIT_SCOPE) and not view.init.startswith("/.."):
            return Sign.INIT, seen
    if any(_is_child(under(root, view.mount.point), view.kind) for view in views):
        return Sign.TOP, seen
    if seen.mixed:
        return Sign.MEMORY, seen
    try:
        if os.readlink(under(root, "/proc/self/ns/cgroup")) != _INITIAL_NAMESPACE:
            return Sign.NAMESPACE, seen
    except OSError:
        pass
    return Sign.NONE, seen


def _is_child(directory: str, kind: int) -> bool:
    # cgroup.events is in every v2 cgroup but the root, release_agent in no v1 cgroup but the root.
    if kind == DomainKind.CGROUP_V2:
        return os.path.exists(os.path.join(directory, "cgroup.events"))
    there = os.path.exists(os.path.join(directory, "cgroup.procs"))
    return there and not os.path.exists(os.path.join(directory, "release_agent"))


def _container(root: str, view: _View, sign: int) -> list[str]:
    """Directories from the container's own cgroup down to ours, without that of our unit alone."""
    chain = _chain(root, view)
    if ".." in view.mount.root or not chain:
        return chain
    begins = 0  # where the mount or the namespace begins, the container does
    if view.mount.root == "/" and not _is_child(chain[0], view.kind):
        # All of the host's hierarchy is in sight: only pid 1 tells where in it the container is.
        home = view.init[: -len(_INIT_SCOPE)] if view.init.endswith(_INIT_SCOPE) else view.init.rstrip("/")
        if home:
            begins = home.count("/") if (view.own + "/").startswith(home + "/") else len(chain)
        elif sign != Sign.MEMORY:
            begins = len(chain)
    whole = chain[begins:]
    # meminfo shows the limit of whatever it is that we are in, so there our own cgroup counts as well.
    return whole[:-1] if len(whole) > 1 and sign != Sign.MEMORY else whole


def _chain(root: str, view: _View) -> list[str]:
    # Directories from the top of what we see down to our own; of those above our namespace only our own.
    top = under(root, view.mount.point)
    if ".." in view.mount.root:
        # The mount begins above our namespace, which hides the names between: look for ourselves.
        found = _find_us(top)
        return [found] if found else []
    path = below_root(view.mount, view.own)
    if path is None:
        return []
    chain = [top]
    for part in path.split("/")[1:]:
        chain.append(os.path.join(chain[-1], part))
    return chain


def _find_us(top: str) -> str:
    us = str(os.getpid())
    for directory, _, files in os.walk(top):
        try:
            if "cgroup.procs" in files and us in read(directory, "cgroup.procs").split():
                return directory
        except OSError:
            continue
    return ""


def _limit_kb(directory: str, kind: int) -> int:
    # 0: none, or none that can be read.
    name = "memory.limit_in_bytes" if kind == DomainKind.MEMCG_V1 else "memory.max"
    try:
        text = read(directory, name).strip()
    except OSError:
        return 0
    return int(text) >> 10 if text.isdigit() and int(text) < UNLIMITED else 0


def _twin(root: str, views: list[_View], directory: str) -> str:
    """The v2 cgroup with the tasks of a v1 one, for its PSI; "" where there is none."""
    for view in views:
        if view.kind != DomainKind.CGROUP_V2:
            continue
        for twin in _chain(root, view):
            if not os.path.exists(os.path.join(twin, "cgroup.events")):
                continue  # the root, which counts for everybody
            try:
                if set(cgroup_members(twin)) == set(cgroup_members(directory)):
                    return twin
            except OSError:
                continue
    return ""


def _above(root: str, path: str) -> str:
    # As the config has it: looked up below `root` again.
    return path if root == "/" or not path else "/" + os.path.relpath(path, root)

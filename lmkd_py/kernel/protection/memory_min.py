"""A v2 memory cgroup for us: under no limit, and with a memory.min that counts.

memory.min of a cgroup is worth no more than what every cgroup above it has, the root alone limits nobody (the kernel's
cgroup-v2.rst, "Memory Interface Files"). So we stay where it counts, and otherwise go to a group right below the root.
Memory stays charged to the group that touched it first: what we touch from here on, and what a killer that is forked
later locks of its own, is this one's; the heap we came with is our former group's, program and libraries are charged to
whoever read them first.
"""

from __future__ import annotations

import os
from errno import EBUSY
from typing import NamedTuple

from ..sensing.cgroup_files import read, write

NAME = "lmkd_py"  # of the cgroups we make; shared by all daemons of a machine
EVERYTHING = 1 << 62  # "max"


class MemoryMinPlace(NamedTuple):
    """Where we are now, and what leave() needs to put things back."""

    directory: str
    counts: int  # bytes of memory.min that the cgroups above allow
    former_min: int  # bytes
    home: str  # where we came from; "": we have been here before
    switched_on: str  # the cgroup in which we asked for the memory controller; ""


def settle(top: str, here: str, limited: str | None, wanted: int, kin: tuple[int, ...]) -> MemoryMinPlace:
    """Go where `wanted` bytes are protected, if need be; OSError says why nowhere.

    top, here: directories of the root and of our cgroup; limited: the highest on the way that has a limit; kin: pids of
    the daemon, who may share a cgroup.
    """
    ours = limited is None and here != top and (_min_of(here) >= wanted or _nobody_but(kin, here))
    if ours and _allowed(top, here) >= wanted:
        return _stay(top, here, wanted)
    try:
        return _move(top, top, here, wanted)
    except OSError:
        if here == top:
            raise
    # The root is not ours to use. Less may count here, but memory.min set later further up is ours then.
    return _stay(top, here, wanted) if ours else _move(top, os.path.dirname(limited or here), here, wanted)


def leave(settled: MemoryMinPlace) -> None:
    """Back to where we came from; a cgroup that nobody else lives in is removed. OSError is as far as it went."""
    directory, parent = settled.directory, os.path.dirname(settled.directory)
    if not settled.home and os.path.basename(directory) != NAME:
        write(directory, "memory.min", str(settled.former_min) if settled.former_min < EVERYTHING else "max")
        return
    try:
        write(settled.home or parent, "cgroup.procs", "0")
    except OSError:  # it is gone by now
        write(parent, "cgroup.procs", "0")
    os.rmdir(directory)
    if settled.switched_on and not _children(settled.switched_on):
        write(settled.switched_on, "cgroup.subtree_control", "-memory")


def has_controller(top: str) -> bool:
    """Whether v2 has the memory controller here."""
    try:
        return "memory" in read(top, "cgroup.controllers").split()
    except FileNotFoundError:
        return False


def _stay(top: str, here: str, wanted: int) -> MemoryMinPlace:
    former = _min_of(here)
    if former < wanted:
        write(here, "memory.min", str(wanted))
    return MemoryMinPlace(here, _allowed(top, here), former, "", "")


def _move(top: str, parent: str, here: str, wanted: int) -> MemoryMinPlace:
    directory = os.path.join(parent, NAME)
    if directory == here:
        return _stay(top, here, wanted)
    switched_on = _switch_on(parent)
    made = not os.path.isdir(directory)
    if made:
        os.mkdir(directory)
    try:
        settled = _stay(top, directory, wanted)
        write(directory, "cgroup.procs", "0")
    except OSError:
        if made:
            os.rmdir(directory)
        raise
    return settled._replace(home=here, switched_on=switched_on)


def _switch_on(parent: str) -> str:
    # With the controller every child of `parent` is accounted and reclaimed apart. Where others live in them that is
    # not ours to decide: a phone would get a memory cgroup for each application.
    if "memory" in read(parent, "cgroup.subtree_control").split():
        return ""
    others = [child for child in _children(parent) if os.path.basename(child) != NAME]
    neighbours = [child for child in others if "populated 1" in read(child, "cgroup.events")]
    if neighbours:
        raise OSError(EBUSY, f"no memory controller below {parent}, and it would be for {len(neighbours)} others, too")
    write(parent, "cgroup.subtree_control", "+memory")
    return parent


def _children(directory: str) -> list[str]:
    with os.scandir(directory) as entries:
        return [entry.path for entry in entries if entry.is_dir()]


def _nobody_but(kin: tuple[int, ...], directory: str) -> bool:
    return all(int(word) in kin for word in read(directory, "cgroup.procs").split())


def _allowed(top: str, directory: str) -> int:
    """What the cgroups above, the root apart, leave of a memory.min."""
    allowed = EVERYTHING
    while (directory := os.path.dirname(directory)) != top and directory.startswith(top):
        allowed = min(allowed, _min_of(directory))
    return allowed


def _min_of(directory: str) -> int:
    try:
        text = read(directory, "memory.min").strip()
    except FileNotFoundError:  # without the controller
        return 0
    return EVERYTHING if text == "max" else int(text)

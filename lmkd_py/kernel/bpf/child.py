"""Builds the maps, loads the program and attaches it: all that is large, slow or never needed again.

Runs in a short-lived child of the steward; see loader.py.
"""

from __future__ import annotations

import errno
import mmap
import os
import resource
import struct

from . import attach, calls, elf, experiment, freecount, layout
from .facts import FIRST, KernelFacts, facts_of_this_kernel
from .order import BpfRefused, Order
from .pins import unpin
from .variants import load_first

OBJECT = os.path.join(os.path.dirname(__file__), "strike.o")
_RLIMIT_MEMLOCK = 8


def build(order: Order, cache_dir: str, pin_dir: str) -> tuple[int, list[int], list[str]]:
    """(variant, fds guard rows log ring link, notes). BpfRefused with one line where that cannot be done."""
    whole_system = not order.cgroup
    _want_64_bits(os.uname().machine)
    _lift_limit()
    try:
        facts = facts_of_this_kernel(cache_dir)
    except (OSError, ValueError) as error:
        wanted = "needs CONFIG_DEBUG_INFO_BTF, or root with CAP_BPF and CAP_PERFMON for the experiment"
        raise BpfRefused(f"the kernel's type information: {error}; {wanted}") from None
    free_at = 0
    if whole_system and not facts.knows(layout.CSS_MEMCG, layout.ZONE_FREE):
        free_at = _free_at()
    try:
        with open(OBJECT, "rb") as file:
            parsed = elf.parse(file.read())
    except (OSError, ValueError) as error:
        raise BpfRefused(f"{error}") from None
    maps = _maps(parsed)
    cgroup_id = 0 if whole_system else _guard_cgroup(order.cgroup, maps["domain"])
    _write_words(maps["guard"], order, facts, cgroup_id, free_at)
    loaded = load_first(parsed, "system" if whole_system else "memcg", order.variants, maps, facts)
    notes = list(loaded.notes)
    if facts.by_experiment:
        notes.append(experiment.NOTE)
    can_pin = bool(pin_dir) and _make_pin_dir(pin_dir, notes)  # before tracefs makes our mounts private
    tracepoint = attach.DIRECT_RECLAIM if whole_system else attach.MEMCG_RECLAIM
    try:
        link_fd, is_link = attach.attach(loaded.prog_fd, attach.tracepoint_id(tracepoint))
    except OSError as error:
        if can_pin:
            unpin(pin_dir)
        raise BpfRefused(f"tracepoint {tracepoint}: {error}; needs tracefs and CAP_PERFMON") from None
    if can_pin:
        _pin(maps, link_fd, is_link, pin_dir, notes)
    return loaded.variant, [maps["guard"], maps["rows"], maps["log"], maps["kicks"], link_fd], notes


def _want_64_bits(machine: str) -> None:
    # A 64-bit kernel calls itself armv8l before a 32-bit program.
    if "64" not in machine and machine not in ("armv8l", "s390x"):
        raise BpfRefused(f"a 32-bit kernel ({machine}); needs a 64-bit one: the programs follow 8-byte pointers")


def _lift_limit() -> None:
    try:  # Linux before 5.11 counts maps against this limit
        resource.setrlimit(_RLIMIT_MEMLOCK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        pass


def _free_at() -> int:
    try:
        return freecount.address()
    except (OSError, ValueError, calls.Rejected) as error:
        wanted = "needs CONFIG_DEBUG_INFO_BTF and memory cgroups, or readable kernel addresses"
        raise BpfRefused(f"whole system: the count of free pages: {error}; {wanted}") from None


def _maps(parsed: elf.Object) -> dict[str, int]:
    fds = {}
    for name, definition in parsed.maps.items():
        entries = definition.max_entries or mmap.PAGESIZE  # a ring buffer is a power of two of pages
        try:
            fds[name] = calls.map_create(name, *definition._replace(max_entries=entries)[:4], definition.flags)
        except OSError as error:
            raise BpfRefused(_words_for(error)) from None
    return fds


def _words_for(error: OSError) -> str:
    if error.errno == errno.EPERM:
        return f"{error}; needs root, or CAP_BPF and CAP_PERFMON (on Android only bpfloader may load programs)"
    if error.errno == errno.ENOSYS:
        return f"{error}; needs a kernel with CONFIG_BPF_SYSCALL"
    return f"{error}; needs mmap-able BPF arrays and ring buffers (Linux 5.8)"


def _guard_cgroup(path: str, domain_fd: int) -> int:
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise BpfRefused(f"guarded cgroup {path}: {error.strerror}; wanted its v2 directory") from None
    try:
        calls.map_update(domain_fd, struct.pack("=I", 0), struct.pack("=I", directory))
        return os.fstat(directory).st_ino
    except OSError as error:
        raise BpfRefused(f"guarded cgroup {path}: {error}; wanted a cgroup v2 directory") from None
    finally:
        os.close(directory)


def _write_words(guard_fd: int, order: Order, facts: KernelFacts, cgroup_id: int, free_at: int) -> None:
    words = [0] * layout.WORDS
    first = layout.LIMIT_EVENTS
    words[first : layout.TICK_NS] = order[1:9]
    words[layout.TICK_NS] = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    words[FIRST : FIRST + len(facts.words)] = facts.words
    words[layout.NODES] = _nodes()
    words[layout.CGROUP_ID] = cgroup_id
    words[layout.FREE_AT] = free_at - (free_at >> 63 << 64)  # addresses of the kernel are negative in a signed word
    with mmap.mmap(guard_fd, layout.WORDS_BYTES) as area:
        area[:] = struct.pack(f"={layout.WORDS}q", *words)


def _nodes() -> int:
    try:
        with open("/sys/devices/system/node/possible", encoding="ascii") as file:
            return int(file.read().replace("-", ",").split(",")[-1]) + 1
    except OSError:
        return 1  # a kernel without NUMA


def _make_pin_dir(pin_dir: str, notes: list[str]) -> bool:
    try:
        attach.make_pin_dir(pin_dir)
    except OSError as error:
        notes.append(f"not pinned: {error}: a crash disarms at once")
        return False
    return True


def _pin(maps: dict[str, int], link_fd: int, is_link: bool, pin_dir: str, notes: list[str]) -> None:
    if not is_link:
        unpin(pin_dir)
        notes.append("not pinned: this kernel has no links to perf events (Linux 5.15): a crash disarms at once")
        return
    try:
        attach.pin(pin_dir, maps["guard"], maps["log"], link_fd)
    except OSError as error:
        unpin(pin_dir)
        notes.append(f"not pinned: {error}: a crash disarms at once")

"""A v1 memory cgroup; its PSI comes from a v2 cgroup with the same member tasks."""

from __future__ import annotations

import errno
import os
from os import preadv
from typing import Any

from ...core.config import DomainKind
from ...core.snapshot import NO_OUTCOME, Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..mounts import under
from ..procfs.counters import Counters
from ..procfs.memcg_v1 import NumaStatV1, page_lists
from ..procfs.number import MAX_INT64
from .base import PAGE_KB
from .memcg import MemcgDomain
from .oom import kills_below

# A host that had no swap is asked again so often: who calls swapon can wait, and asking costs 10 us.
_NEW_SWAP_MS = 10_000
_HINT_SLACK = 512  # a counter's place in node vmstat moves as those before it change their length
_new = tuple.__new__


class MemcgV1Domain(MemcgDomain):
    """Reads usage, limits, failcnt, numa_stat and, if the host has swap, memsw: none of them allocates (allocating()
    names what stands in for numa_stat where a kernel lacks it).

    numa_stat does not split its lists, so the whole file LRU is given as active and inactive is 0: the estimate of
    easily reclaimed memory, free + inactive file, then counts F once. Shared memory is part of anon there, its own
    field is ABSENT. Reclaim shows as movement of memory.failcnt.
    """

    kind = DomainKind.MEMCG_V1
    _swap_due_ms = 0

    def pin(self) -> None:
        """Open and read once."""
        super().pin()
        self._usage = self._pin_number(os.path.join(self.directory, "memory.usage_in_bytes"))
        self._failcnt = self._pin_number(os.path.join(self.directory, "memory.failcnt"))
        root = _hierarchy_root(self.directory)
        self._limits = self._pin_upwards("memory.limit_in_bytes", root)
        self._numa = page_lists(self.directory)
        self._files.append(self._numa.file)
        self._lists_path = self._numa.file.path
        self._memsw_limits = self._pin_upwards("memory.memsw.limit_in_bytes", root)
        memsw = os.path.join(self.directory, "memory.memsw.usage_in_bytes")
        self._memsw_usage = self._pin_number(memsw) if self._memsw_limits else None
        if self._monitor.domain_psi_path:
            twin = under(self._root, self._monitor.domain_psi_path)
            if not os.path.isdir(twin):
                raise FileNotFoundError(errno.ENOENT, f"memory domain's PSI directory {twin}: no such directory")
            self._pin_pressure(twin, ".pressure")
        self.pressure_dir = self.directory
        self._quick = self._quick_files()
        self._carefully(0, 0, 0, NO_OUTCOME, 0)  # all of the kill path runs once before memory is locked

    def close(self) -> None:
        """Close all descriptors; may be called twice."""
        self._quick = ()  # or it would read whatever has their numbers next
        super().close()

    def _quick_files(self) -> Any:
        # What sample() reads, as plain tuples; () where a kernel has other files than the usual: then it fails at once.
        numa, nodes = self._numa, [_quick_node(node) for node in self._nodes.nodes]
        psi = (self._psi_io, self._psi_cpu, self._psi_memory)
        if not isinstance(numa, NumaStatV1) or not nodes or () in nodes or psi.count(None) not in (0, len(psi)):
            return ()
        return (
            *self._usage.file.parts(),
            *self._failcnt.file.parts(),
            *numa.file.parts(),
            tuple(limit.file.parts() for limit in self._limits),
            tuple(nodes),
            tuple(each.file.parts() for each in psi if each is not None),
            self._host,
            *self._percent,
        )

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        """See Domain.sample.

        One long function, since under pressure nothing of ours is in the CPU's caches and what costs is how much of it
        is touched: the readers' functions and attributes took longer than the kernel's answers (measured: 223 us with
        them, 149 us so). Anything unusual is left to them: they know what to make of it.
        """
        try:
            # fmt: off
            (
                usage_fd, usage_room, usage_buf, fails_fd, fails_room, fails_buf,
                numa_fd, numa_room, numa_buf, limits, nodes, pressures, host, least_pct, low_pct, high_pct,
            ) = self._quick
            # fmt: on
            usage = int(usage_buf[1 : preadv(usage_fd, usage_room, 0) + 1])
            fails = int(fails_buf[1 : preadv(fails_fd, fails_room, 0) + 1])
            seen = usage | fails  # of all numbers: negative or too large if one of them is
            total_kb = host.ram_kb
            for fd, room, buf in limits:
                limit = int(buf[1 : preadv(fd, room, 0) + 1])
                seen |= limit
                if limit >> 10 < total_kb:
                    total_kb = limit >> 10
            end = preadv(numa_fd, numa_room, 0) + 1
            at = numa_buf.index(b"\nhierarchical_file=", 0, end) + 19
            file_pages = int(numa_buf[at : numa_buf.index(b" ", at, end)])
            at = numa_buf.index(b"\nhierarchical_anon=", at, end) + 19
            anon_pages = int(numa_buf[at : numa_buf.index(b" ", at, end)])
            at = numa_buf.index(b"\nhierarchical_unevictable=", at, end) + 26
            unevictable_pages = int(numa_buf[at : numa_buf.index(b" ", at, end)])
            refault = 0
            for fd, room, buf, needle, length, hint in nodes:
                end = preadv(fd, room, 0) + 1
                at = buf.index(needle, hint, end) + length
                refault += int(buf[at : buf.index(b"\n", at, end)])
            io_some = io_full = cpu_some = mem_some = mem_full = some_total_us = full_total_us = ABSENT
            if pressures:
                (io_fd, io_room, io_buf), (cpu_fd, cpu_room, cpu_buf), (mem_fd, mem_room, mem_buf) = pressures
                # "some avg10=0.00 avg60=0.00 avg300=0.00 total=0": hundredths are the digits without the point.
                end = preadv(io_fd, io_room, 0) + 1
                at = io_buf.index(b" ", 12, end)
                io_some = int(io_buf[12:at].replace(b".", b""))
                at = io_buf.index(b"\nfull avg10=", at, end) + 12
                io_full = int(io_buf[at : io_buf.index(b" ", at, end)].replace(b".", b""))
                end = preadv(cpu_fd, cpu_room, 0) + 1
                cpu_some = int(cpu_buf[12 : cpu_buf.index(b" ", 12, end)].replace(b".", b""))
                # Memory last: its totals should be as fresh as can be.
                end = preadv(mem_fd, mem_room, 0) + 1
                at = mem_buf.index(b" ", 12, end)
                mem_some = int(mem_buf[12:at].replace(b".", b""))
                at = mem_buf.index(b"total=", at, end) + 6
                stop = mem_buf.index(b"\nfull avg10=", at, end)
                some_total_us = int(mem_buf[at:stop])
                at = stop + 12
                stop = mem_buf.index(b" ", at, end)
                mem_full = int(mem_buf[at:stop].replace(b".", b""))
                full_total_us = int(mem_buf[mem_buf.index(b"total=", stop, end) + 6 : end])
                seen |= io_some | io_full | cpu_some | mem_some | mem_full | some_total_us | full_total_us
            if not 0 <= seen | file_pages | anon_pages | unevictable_pages | refault <= MAX_INT64:
                raise ValueError
        except (OSError, ValueError):
            return self._carefully(now_ms, kind, level, outcome, victim_alive)
        swap_total_kb = swap_free_kb = 0
        if host.swap_total_kb or now_ms >= self._swap_due_ms:
            self._swap_due_ms = now_ms + _NEW_SWAP_MS
            swap_total_kb, swap_free_kb = self._swap(total_kb, usage >> 10)
        file_kb = file_pages * PAGE_KB
        free_kb = total_kb - (usage >> 10)
        pages = total_kb // PAGE_KB
        # fmt: off
        return _new(Snapshot, (
            now_ms, kind, level, PAGE_KB, outcome, victim_alive,
            total_kb, file_kb + free_kb if free_kb > 0 else file_kb, ABSENT, ABSENT, ABSENT,
            anon_pages * PAGE_KB, 0, file_kb, 0, unevictable_pages * PAGE_KB,
            swap_total_kb, swap_free_kb, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT, ABSENT,
            0, file_pages, refault, 0, fails, 0,
            pages * least_pct // 100, pages * low_pct // 100, pages * high_pct // 100,
            mem_some, mem_full, io_some, io_full, cpu_some, some_total_us, full_total_us,
            0, 0, 0, ABSENT, ABSENT, (),  # NO_EVENTS
        ))
        # fmt: on

    def _carefully(self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int) -> Snapshot:
        # The same Snapshot from the readers, which answer for any bytes and know which file is gone.
        head = (now_ms, kind, level, outcome, victim_alive)
        usage = self._usage.read()
        if usage < 0:
            return self._unknown(head, usage)
        total_kb = self._total_kb()
        failures = self._failcnt.read()
        numa = self._numa
        numa.read()
        swap_total_kb, swap_free_kb = self._swap(total_kb, usage >> 10)
        file_kb = max(numa.file_pages, 0) * PAGE_KB
        memory_kb = (
            total_kb,
            max(total_kb - (usage >> 10), 0) + file_kb,
            ABSENT,
            ABSENT,
            ABSENT,
            numa.anon_pages * PAGE_KB if numa.anon_pages >= 0 else ABSENT,
            0 if numa.anon_pages >= 0 else ABSENT,
            file_kb if numa.file_pages >= 0 else ABSENT,
            0 if numa.file_pages >= 0 else ABSENT,
            numa.unevictable_pages * PAGE_KB if numa.unevictable_pages >= 0 else ABSENT,
            swap_total_kb,
            swap_free_kb,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
            ABSENT,
        )
        file_pages = (0, numa.file_pages) if numa.file_pages >= 0 else (ABSENT, ABSENT)
        return self._snapshot(head, memory_kb, file_pages, max(failures, ABSENT), self._watermarks(total_kb))

    def _swap(self, total_kb: int, usage_kb: int) -> tuple[int, int]:
        # memsw limits and counts memory and swap together. Without those files only the host's swap bounds us.
        host = self._host
        host.read()
        if host.swap_total_kb <= 0:
            return 0, 0
        if self._memsw_usage is None:
            return host.swap_total_kb, host.swap_free_kb
        swap_kb = host.swap_total_kb
        for limit in self._memsw_limits:
            if limit.read() >= 0 and (limit.value >> 10) - total_kb < swap_kb:
                swap_kb = max((limit.value >> 10) - total_kb, 0)
        used_kb = max((self._memsw_usage.read() >> 10) - usage_kb, 0)
        return swap_kb, max(min(swap_kb - used_kb, host.swap_free_kb), 0)

    def oom_kills(self) -> int:
        """Kernel OOM kills in this cgroup and those below it, from memory.oom_control (Linux 4.13)."""
        return kills_below(self.directory, "memory.oom_control")


def _hierarchy_root(directory: str) -> str:
    """The root cgroup above: it has no limit and cannot have one. "" where it is not in sight (a namespace)."""
    while len(directory) > 1:
        if os.path.exists(os.path.join(directory, "release_agent")):  # only there (kernel/cgroup/cgroup-v1.c)
            return directory
        directory = os.path.dirname(directory)
    return ""


def _quick_node(node: Counters) -> tuple[Any, ...]:
    """The one refault counter of a node's vmstat and where to begin to look; () if it has both kinds or none."""
    if len(node.present) != 1:
        return ()
    _, needle, length = node.present[0]
    return (*node.file.parts(), needle, length, max(node.file.buf.find(needle) - _HINT_SLACK, 0))

"""What v1 and v2 memory cgroups have in common: the host's refaults, the derived watermarks, the Snapshot's shape."""

from __future__ import annotations

import errno
import os

from ...core.snapshot import Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..hostmem import HostMemory
from ..mounts import under
from ..procfs.number import NumberFile
from ..procfs.vmstat import NodeVmstat, Vmstat, node_paths
from .base import NO_EVENTS, PAGE_KB, Domain
from .members import cgroup_members


class MemcgDomain(Domain):
    """One memory cgroup, limit L, usage U, file LRU F.

    free = (L - U) + F, because page cache always fills a cgroup and L - U alone is near 0. The watermarks are
    percentages of L. Refaults are those of the whole host (node vmstat): exact ones stand in memory.stat only, which
    allocates. kswapd does not work for a limit: pgscan_kswapd and pgrefill are 0 and never move.
    """

    _lists_path = ""  # the file of the page lists

    def pin(self) -> None:
        """Open what both versions read; the versions add theirs."""
        monitor, root = self._monitor, self._root
        self.directory = under(root, monitor.domain_path)
        if not os.path.isdir(self.directory):
            raise FileNotFoundError(errno.ENOENT, f"memory domain {self.directory}: no such directory")
        self._percent = (
            monitor.memcg_watermark_min_pct,
            monitor.memcg_watermark_low_pct,
            monitor.memcg_watermark_high_pct,
        )
        self._host = HostMemory(root)
        self._limits: list[NumberFile] = []
        self._nodes = NodeVmstat(node_paths(root))
        self._files += [node.file for node in self._nodes.nodes]
        self._vmstat: Vmstat | None = None
        if not self._nodes.nodes:
            # No node tells of refaults: then /proc/vmstat it is, for one kmalloc a sample.
            self._vmstat = Vmstat(under(root, "/proc/vmstat"))
            self._files.append(self._vmstat.counters.file)

    def _pin_number(self, path: str) -> NumberFile:
        number = NumberFile(path)
        self._files.append(number.file)
        return number

    def _pin_upwards(self, name: str, known_root: str = "") -> list[NumberFile]:
        # The file `name` of the cgroup and of every ancestor that has it.
        found = []
        directory = self.directory
        while os.path.exists(os.path.join(directory, name)) and directory != known_root:
            found.append(self._pin_number(os.path.join(directory, name)))
            directory = os.path.dirname(directory)
        return found

    def allocating(self) -> list[str]:
        """See Domain.allocating: what stands in for the files of a kernel with NUMA."""
        found = []
        if self._vmstat is not None:
            found.append(f"{self._vmstat.counters.file.path} (no memory node tells of refaults)")
        if os.path.basename(self._lists_path) == "memory.stat":
            found.append(f"{self._lists_path} (no memory.numa_stat)")
        return found

    # Kill path.

    def _refault_pages(self) -> int:
        if self._vmstat is None:
            return self._nodes.refault_pages()
        self._vmstat.read()
        return self._vmstat.values[2]

    def _total_kb(self) -> int:
        # Smallest limit up the tree, or RAM. An ancestor that cannot be read does not count.
        total = self._host.ram_kb
        for limit in self._limits:
            if 0 <= limit.read() >> 10 < total:
                total = limit.value >> 10
        return total

    def _watermarks(self, total_kb: int) -> tuple[int, int, int]:
        least, low, high = self._percent
        pages = total_kb // PAGE_KB
        return pages * least // 100, pages * low // 100, pages * high // 100

    def _snapshot(
        self,
        head: tuple[int, int, int, Outcome, int],
        memory_kb: tuple[int, ...],
        file_pages: tuple[int, int],
        direct: int,
        watermarks: tuple[int, int, int],
    ) -> Snapshot:
        # memory_kb: Snapshot's 18 meminfo fields in order.
        now_ms, kind, level, outcome, victim_alive = head
        return Snapshot._make(
            (
                now_ms,
                kind,
                level,
                PAGE_KB,
                outcome,
                victim_alive,
                *memory_kb,
                *file_pages,
                self._refault_pages(),
                0,
                direct,
                0,
                *watermarks,
                *self._pressure(),
                *NO_EVENTS,
            )
        )

    def _unknown(self, head: tuple[int, int, int, Outcome, int], usage: int) -> Snapshot:
        # Without the usage nothing can be judged. kernfs answers ENODEV once the directory was removed under us.
        if usage in (-errno.ENODEV, -errno.ENOENT):
            self.gone = 1
        nothing = (ABSENT,) * 18
        return self._snapshot(head, nothing, (ABSENT, ABSENT), ABSENT, (ABSENT, ABSENT, ABSENT))

    # Steward.

    def members(self) -> list[int]:
        """Pids of the cgroup and of all cgroups below it."""
        return cgroup_members(self.directory)

    def describe(self) -> str:
        """One line for the trace header."""
        psi = f"PSI {self.psi_memory_path}" if self.psi_memory_path else "no PSI"
        refault = "node vmstat" if self._vmstat is None else "/proc/vmstat, one allocation a sample"
        words = "v1 memory cgroup" if self.kind == 1 else "v2 cgroup"
        return f"{words} {self.directory}, {self._total_kb() >> 10} MiB, {psi}, refaults host-wide ({refault})"

"""What v1 and v2 memory cgroups have in common: refaults, the derived watermarks, the Snapshot's shape."""

from __future__ import annotations

import errno
import os
from typing import Any

from ....core.config import DomainKind
from ....core.snapshot import Snapshot
from ....core.vocabulary import ABSENT
from ..hostmem import HostMemory
from ..mounts import under
from ..pinned import PASSING, PinnedFile
from ..procfs.table import Row, Table
from ..procfs.vmstat import REFAULTS, UNDIVIDED, file_refault, node_paths, pin_nodes
from .base import EMPTY, FIELDS, PAGE_KB, Domain, index_of
from .members import cgroup_members
from .placement import Placement, placement_of

USAGE, LIMITED = "usage_kb", "limit_kb"
SWAP_USAGE, SWAP_LIMIT = "swap_usage_kb", "swap_limit_kb"  # on v1 of memory and swap together
_OF_FILES = tuple(row for row in REFAULTS if row.field != "refault_anon_pages")
_REFAULT, _LEAST = index_of("workingset_refault_pages", "watermark_min_pages")
NUMA_STAT_FILE = "memory.numa_stat"
_HELD = {b"shmem": "shmem", b"total_shmem": "shmem", b"pagetables": "page tables"}


class MemcgDomain(Domain):
    """One memory cgroup, limit L, usage U, file LRU F.

    free = (L - U) + F, because page cache always fills a cgroup and L - U alone is near 0. The watermarks are
    percentages of L. Refaults are its own where the file of its page lists has them, which is so in v2. In v1 they
    stand in memory.stat only, which allocates: there they are the file refaults of the whole host (node vmstat), and
    refault_anon_pages is ABSENT. kswapd does not work for a limit: kswapd_progress and refill_progress are 0 and never
    move.
    """

    blank = EMPTY._replace(kswapd_progress=0, refill_progress=0)
    own: tuple[str, ...] = (UNDIVIDED, USAGE, LIMITED)
    _lists_path = ""  # the file of the page lists
    _vmstat: PinnedFile | None = None
    _counts_refaults = False  # its own

    def pin(self) -> None:
        """Open what both versions need first; the versions pin theirs."""
        monitor, root = self._monitor, self._root
        self.directory = under(root, monitor.domain.path)
        if not os.path.isdir(self.directory):
            raise FileNotFoundError(errno.ENOENT, f"memory domain {self.directory}: no such directory")
        self._percent = (
            monitor.domain.watermark_min_pct,
            monitor.domain.watermark_low_pct,
            monitor.domain.watermark_high_pct,
        )
        self._host = HostMemory(root)
        self._pin_zram()
        # Read only where the host has swap.
        self._swap_table = Table((ABSENT, ABSENT), (SWAP_LIMIT, SWAP_USAGE))

    def files(self) -> list[PinnedFile]:
        return [*super().files(), *self._swap_table.files]

    def close(self) -> None:
        super().close()
        if hasattr(self, "_swap_table"):
            self._swap_table.close()

    def _pin_refaults(self) -> None:
        paths = node_paths(self._root)
        named = paths[0] if paths else ""
        self._optional(named, lambda: pin_nodes(self._table, paths, _OF_FILES))
        if not any(self._table.has(row.field) for row in _OF_FILES):
            # No node tells of refaults: then /proc/vmstat it is, for one kmalloc a sample.
            self._vmstat = self._pin_optional(under(self._root, "/proc/vmstat"), _OF_FILES)

    def _pin_lists(self, numa_stat: tuple[Row, ...], stat: tuple[Row, ...]) -> None:
        # From the file that allocates least. A kernel without NUMA has no numa_stat; a container may mask it.
        try:
            file = self._table.pin(os.path.join(self.directory, NUMA_STAT_FILE), numa_stat)
        except (OSError, ValueError) as failure:
            if isinstance(failure, OSError) and failure.errno in PASSING:
                raise
            file = self._table.pin(os.path.join(self.directory, "memory.stat"), stat)
        self._lists_path = file.path
        self._counts_refaults = self._table.has("refault_anon_pages")

    def _pin_upwards(self, table: Table, name: str, limit: Row, known_root: str = "", own_required: int = 1) -> None:
        # The file `name` of the cgroup and of every ancestor that has it. Of those above nothing is required.
        directory = self.directory
        while os.path.exists(os.path.join(directory, name)) and directory != known_root:
            path = os.path.join(directory, name)
            if own_required and directory == self.directory:
                table.pin(path, (limit,))
            else:
                self._pin_optional(path, (limit,), table)
            directory = os.path.dirname(directory)

    def allocating(self) -> list[str]:
        """See Domain.allocating: what stands in for the files of a kernel with NUMA."""
        found = []
        if self._vmstat is not None:
            found.append(f"{self._vmstat.path} (no NUMA node reports refaults)")
        if os.path.basename(self._lists_path) == "memory.stat":
            found.append(f"{self._lists_path} (no memory.numa_stat)")
        return found

    # Kill path.

    def _made(self, values: list[Any], undivided: int, total_kb: int) -> Snapshot:
        # `values` but for what both versions derive alike.
        values[_REFAULT] = file_refault(undivided, values[_REFAULT])
        pages = total_kb // PAGE_KB
        least, low, high = self._percent
        values[_LEAST : _LEAST + 3] = pages * least // 100, pages * low // 100, pages * high // 100
        if self._host.swap_total_kb > 0:
            self._put_zram(values, self._host.swap_total_kb)
        return Snapshot._make(values[:FIELDS])

    def _unknown(self, values: list[Any]) -> Snapshot:
        # The usage cannot be read. kernfs answers ENODEV once the directory was removed under us.
        if self._table.error in (errno.ENODEV, errno.ENOENT):
            self.gone = 1
        return Snapshot._make(values[:FIELDS])._replace(swap_total_kb=ABSENT, swap_free_kb=ABSENT)

    def _total_kb(self, limit_kb: int) -> int:
        # Smallest limit up the tree, or RAM.
        ram_kb = self._host.ram_kb
        return limit_kb if 0 <= limit_kb < ram_kb else ram_kb

    # Steward.

    def members(self) -> list[int]:
        """Pids of the cgroup and of all cgroups below it."""
        return cgroup_members(self.directory)

    def placed(self) -> Placement:
        """See Domain.placed; a v1 cgroup's tasks are those of the v2 cgroup whose PSI is read."""
        if self.kind == DomainKind.CGROUP_V2:
            return placement_of(self.directory, self.directory)
        return placement_of(self.directory, os.path.dirname(self.psi_memory_path), "memory")

    def held_kb(self) -> dict[str, int]:
        """shmem and page tables, which only memory.stat tells apart from the rest."""
        held: dict[str, int] = {}
        try:
            with open(os.path.join(self.directory, "memory.stat"), "rb") as file:
                lines = [line.split() for line in file]
        except OSError:
            return held
        for words in lines:
            name = _HELD.get(words[0]) if len(words) == 2 and words[1].isdigit() else None
            if name:  # v1 has total_: with all cgroups below, and behind the plain one
                held[name] = int(words[1]) >> 10
        return held

    def describe(self) -> str:
        psi = f"PSI {self.psi_memory_path}" if self.psi_memory_path else "no PSI"
        source = "node vmstat" if self._vmstat is None else "/proc/vmstat, one allocation a sample"
        refault = "of its own" if self._counts_refaults else f"host-wide ({source}): STEADY kills nobody for stall"
        words = "v1 memory cgroup" if self.kind == 1 else "v2 cgroup"
        total_kb = self._total_kb(self._table.read()[self._table.names.index(LIMITED)])
        return f"{words} {self.directory}, {total_kb >> 10} MiB, {psi}, refaults {refault}"

"""/proc/meminfo, kB."""

from __future__ import annotations

from .table import Row

# The line of each field of Snapshot, in the order of the file. Without the first two there is nothing to judge.
_LINES = {
    "mem_total_kb": b"MemTotal",
    "mem_free_kb": b"MemFree",
    "buffers_kb": b"Buffers",
    "cached_kb": b"Cached",
    "swap_cached_kb": b"SwapCached",
    "active_anon_kb": b"Active(anon)",
    "inactive_anon_kb": b"Inactive(anon)",
    "active_file_kb": b"Active(file)",
    "inactive_file_kb": b"Inactive(file)",
    "unevictable_kb": b"Unevictable",
    "swap_total_kb": b"SwapTotal",
    "swap_free_kb": b"SwapFree",
    "shmem_kb": b"Shmem",
    "sreclaimable_kb": b"SReclaimable",
    "sunreclaim_kb": b"SUnreclaim",
    "kernel_stack_kb": b"KernelStack",
    "page_tables_kb": b"PageTables",
    "cma_free_kb": b"CmaFree",
}
MEMINFO = tuple(
    Row(b"\n" + line + b":", field, end=b" kB", required=int(field in ("mem_total_kb", "mem_free_kb")))
    for field, line in _LINES.items()
)

"""Page lists and refaults of a v2 cgroup and everything below it: memory.numa_stat, which unlike memory.stat is printed
without a buffer from the heap; kernels without NUMA have only memory.stat.
"""

from __future__ import annotations

from .table import BYTES_TO_KB, BYTES_TO_PAGES, NODES, Row
from .vmstat import REFAULTS, UNDIVIDED

# In the file's order.
STAT = (
    Row(b"\nshmem ", "shmem_kb", BYTES_TO_KB),
    Row(b"\ninactive_anon ", "inactive_anon_kb", BYTES_TO_KB),
    Row(b"\nactive_anon ", "active_anon_kb", BYTES_TO_KB),
    Row(b"\ninactive_file ", "nr_inactive_file_pages", BYTES_TO_PAGES, required=1),
    Row(b"\nactive_file ", "nr_active_file_pages", BYTES_TO_PAGES, required=1),
    Row(b"\nunevictable ", "unevictable_kb", BYTES_TO_KB),
    *(row for row in REFAULTS if row.field != UNDIVIDED),
)
NUMA_STAT = tuple(row._replace(form=NODES) for row in STAT)

"""Page lists of a v1 memory cgroup and everything below it, in pages.

From memory.numa_stat, which does not allocate; kernels without NUMA have no such file, there from memory.stat, which
does. The kernel adds these up in batches: they lag behind usage_in_bytes by up to 64 pages a CPU (measured: 26 pages).
"""

from __future__ import annotations

from .table import BYTES_TO_PAGES, Row

FILE, ANON, UNEVICTABLE = "file_pages", "anon_pages", "unevictable_pages"
NUMA_STAT = (
    Row(b"\nhierarchical_file=", FILE, end=b" ", required=1),  # not there: use_hierarchy is off
    Row(b"\nhierarchical_anon=", ANON, end=b" "),
    Row(b"\nhierarchical_unevictable=", UNEVICTABLE, end=b" "),
)
STAT = (
    Row(b"\ntotal_inactive_file ", FILE, BYTES_TO_PAGES, required=1),
    Row(b"\ntotal_active_file ", FILE, BYTES_TO_PAGES, required=1),
    Row(b"\ntotal_inactive_anon ", ANON, BYTES_TO_PAGES, required=1),
    Row(b"\ntotal_active_anon ", ANON, BYTES_TO_PAGES, required=1),
    Row(b"\ntotal_unevictable ", UNEVICTABLE, BYTES_TO_PAGES),
)

"""What the programs of watch_programs.py and their reader, watch.py, share."""

from __future__ import annotations

import mmap

BORN, ADJ, MOVED, RENAMED = 1, 2, 3, 4  # kinds of records: another process, oom_score_adj, cgroup, name
RING_BYTES = max(4096, mmap.PAGESIZE)  # 256 records or more between two drains
MARKS = 16384  # one byte for all pids with the same low bits: whether a process of the domain is among them

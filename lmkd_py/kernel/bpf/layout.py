"""The words, rows and log that the BPF program, the steward and the killer share; device/bpf/strike.bpf.c has the same.

All words are 64 bits. Whoever writes one is said in its group; BPF advances CURSOR with a compare-exchange.
"""

from __future__ import annotations

import struct

WORDS = 64
WORDS_BYTES = WORDS * 8

# ARMED
OFF, KICK_ONLY, STRIKE = 0, 1, 2

# Written by user space before arming.
ARMED = 0
LIMIT_EVENTS = 1  # reclaim events within LIMIT_WINDOW_NS that are beyond the limit
LIMIT_WINDOW_NS = 2
FREE_LIMIT_PAGES = 3  # whole system: events count while less is free
REKICK_NS = 4  # between an answered kick and the next one
ANSWER_NS = 5  # a kick unanswered for so long makes BPF strike
GAP_NS = 6  # between two strikes
LEASE_NS = 7  # a kick unanswered for so long disarms: whoever armed us is gone
ADJ_FLOOR = 8  # variants without a list strike from this oom_score_adj on
TICK_NS = 9  # start_boottime / TICK_NS is field 22 of /proc/PID/stat
NEVER = 10  # four words: tgids that are never struck, whatever the list and the floor say; 0: nobody
NEVER_WORDS = 4

# Written by the killer: the KICK it has answered.
ACK = 16
# Written by the steward: generation << 16 | half << 15 | index.
CURSOR = 17
CURSOR_HALF_SHIFT, CURSOR_GENERATION_SHIFT = 15, 16
CURSOR_INDEX_MASK = 0x7FFF
FILED = 18  # strikes below this number are in a trace: a steward that takes over files the rest

# Written by BPF.
KICK = 24  # CLOCK_MONOTONIC of the last kick; outstanding while KICK > ACK
LAST_STRIKE = 25
STRIKES = 26  # how many so far; published after the log row
EVENTS = 27  # reclaim events of the guarded domain
KICKS = 28
SKIPPED = 29  # rows passed over: dead, recycled, spared, more important than when listed, or refused the signal
WINDOW_START = 30
WINDOW_EVENTS = 31
LAPSED = 32  # when the lease ran out; 0: never. From then on it is disarmed, on old kernels without a change of ARMED
BUSY = 33  # signals the kernel could not take; tried again at the next event
STRIKING = 34  # 1 while one CPU strikes
FREE_PAGES = 35  # whole system: free pages at the last reclaim event
WINDOW_BEFORE = 36  # events of the window before this one

# Written by the loader, from the kernel's BTF or by experiment: byte offsets but for the last three; below 0: unknown.
TASK_SIGNAL = 40
TASK_START = 41
TASK_TGID = 42
TASK_LEADER = 43
TASK_MM = 44
TASK_CGROUPS = 45
SIGNAL_ADJ = 46
SIGNAL_FLAGS = 47
SIGNAL_LIVE = 48
MM_RSS_FILE = 49
MM_RSS_ANON = 50
MM_RSS_SHMEM = 51
CSS_MEMCG = 52
MEMCG_NODEINFO = 53
NODE_PGDAT = 54
PGDAT_ZONES = 55
ZONE_SIZE = 56
ZONE_FREE = 57
ZONES = 58
NODES = 59
CGROUP_ID = 60  # inode number of the domain's v2 directory
FREE_AT = 61  # address of the kernel's own count of free pages; 0: they are counted zone by zone

# Two halves of LIST_ROWS rows; pid 0 ends the list.
LIST_ROWS = 256
ROW = struct.Struct("=IiQ")  # pid, adj, start_ticks
ROWS_BYTES = 2 * LIST_ROWS * ROW.size

LOG_ROWS = 256
LOG_ROW = struct.Struct("=QQIiQQ")  # at_ns, kick_ns, pid, adj, start_ticks, rss_pages
LOG_BYTES = LOG_ROWS * LOG_ROW.size
RSS_UNKNOWN = START_UNKNOWN = (1 << 64) - 1

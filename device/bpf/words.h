// SPDX-License-Identifier: GPL-2.0-only
/* What user space shares with the program; lmkd_py/kernel/bpf/layout.py has the same. All words are 64 bits. */
enum { WORDS = 64, LIST_ROWS = 256, LOG_ROWS = 256 };

struct row { u32 pid; s32 adj; u64 start_ticks; };
struct strike { u64 at_ns, kick_ns; u32 pid; s32 adj; u64 start_ticks, rss_pages; };

enum word {
	ARMED = 0, LIMIT_EVENTS, LIMIT_WINDOW_NS, FREE_LIMIT_PAGES, REKICK_NS, ANSWER_NS, GAP_NS, LEASE_NS, ADJ_FLOOR, TICK_NS,
	NEVER, /* four of them */
	ACK = 16, CURSOR, FILED,
	KICK = 24, LAST_STRIKE, STRIKES, EVENTS, KICKS, SKIPPED, WINDOW_START, WINDOW_EVENTS, LAPSED, BUSY, STRIKING, FREE_PAGES,
	WINDOW_BEFORE,
	TASK_SIGNAL = 40, TASK_START, TASK_TGID, TASK_LEADER, TASK_MM, TASK_CGROUPS, SIGNAL_ADJ, SIGNAL_FLAGS, SIGNAL_LIVE,
	MM_RSS_FILE, MM_RSS_ANON, MM_RSS_SHMEM,
	CSS_MEMCG, MEMCG_NODEINFO, NODE_PGDAT, PGDAT_ZONES, ZONE_SIZE, ZONE_FREE, ZONES, NODES, CGROUP_ID, FREE_AT,
};
enum { OFF = 0, KICK_ONLY = 1, STRIKE = 2 };

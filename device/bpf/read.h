// SPDX-License-Identifier: GPL-2.0-only
/* Reads of words, tasks and free memory. `w` is the array of words. */
/* Word `i`, read or written once and by one instruction. */
#define W(i) (*(volatile u64 *)&w[i])
#define EXCHANGE(i, old, new) (__sync_val_compare_and_swap(&w[i], (old), (new)) == (old))

/* Offsets are unknown to the verifier, so pointers are numbers here and every read may fail; it gives 0 then. */
INLINE u64 read64(u64 base, u64 offset)
{
	u64 value = 0;
	probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

INLINE u32 read32(u64 base, u64 offset)
{
	u32 value = 0;
	probe_read_kernel(&value, sizeof(value), (void *)(base + offset));
	return value;
}

/* A kernel without BTF may have offsets that were not found: they are below zero. */
INLINE int knows(u64 *w, u32 word)
{
	return (s64)W(word) >= 0;
}

INLINE s32 adj_of(u64 *w, u64 signal)
{
	short adj = 0;
	probe_read_kernel(&adj, sizeof(adj), (void *)(signal + W(SIGNAL_ADJ)));
	return adj;
}

/* Pid 1, and those the steward named: itself, its killer, its parent. */
INLINE int is_spared(u64 *w, u32 tgid)
{
	return tgid <= 1 || tgid == W(NEVER) || tgid == W(NEVER + 1) || tgid == W(NEVER + 2) || tgid == W(NEVER + 3);
}

/* A SIGKILL is on its way, or no thread is left: memory comes back without us. Not dying where nothing tells. */
INLINE int is_dying(u64 *w, u64 signal)
{
	return (knows(w, SIGNAL_FLAGS) && read32(signal, W(SIGNAL_FLAGS)) & SIGNAL_GROUP_EXIT) ||
	       (knows(w, SIGNAL_LIVE) && !read32(signal, W(SIGNAL_LIVE)));
}

INLINE u64 rss_of(u64 *w, u64 task)
{
	u64 mm = knows(w, TASK_MM) ? read64(task, W(TASK_MM)) : 0;
	s64 pages;

	if (!mm)
		return ~0ULL;
	/* The three counters are as exact as the kernel keeps them: CPUs hold some pages back, so one may be below 0. */
	pages = read64(mm, W(MM_RSS_FILE)) + read64(mm, W(MM_RSS_ANON)) + read64(mm, W(MM_RSS_SHMEM));
	return pages < 0 ? 0 : pages;
}

/* Free pages of all zones. The way to a node without a kernel symbol: current's memory cgroup knows its lruvecs. */
INLINE u64 zones_free_pages(u64 *w)
{
	u64 css = read64(get_current_task(), W(TASK_CGROUPS));
	u64 memcg = read64(css, W(CSS_MEMCG));
	u64 pages = 0;
	u32 node, zone;

	if (!memcg)
		return ~0ULL;
	for (node = 0; node < 8; node++) {
		u64 pgdat;

		if (node >= W(NODES))
			break;
		pgdat = read64(read64(memcg, W(MEMCG_NODEINFO) + 8 * node), W(NODE_PGDAT));
		if (!pgdat)
			continue;
		for (zone = 0; zone < 6; zone++) {
			if (zone >= W(ZONES))
				break;
			pages += read64(pgdat, W(PGDAT_ZONES) + zone * W(ZONE_SIZE) + W(ZONE_FREE));
		}
	}
	return pages;
}

/* As the zones have it, or the kernel's own sum, which CPUs hold some pages back from: it may be below 0. */
INLINE u64 free_pages(u64 *w)
{
	s64 pages;

	if (!W(FREE_AT))
		return zones_free_pages(w);
	pages = read64(W(FREE_AT), 0);
	return pages < 0 ? 0 : pages;
}

INLINE u64 start_ticks_of(u64 *w, u64 task)
{
	u64 tick_ns = W(TICK_NS);

	return tick_ns && knows(w, TASK_START) ? read64(task, W(TASK_START)) / tick_ns : ~0ULL;
}

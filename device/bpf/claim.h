// SPDX-License-Identifier: GPL-2.0-only
/*
 * One CPU at a time, in two forms. ATOMIC: the fetching atomics of Linux 5.12, which the JIT of arm64 takes from 5.18 on.
 * PLAIN, for what is older: a lock made of the one element of a hash map that is allocated beforehand. Who can insert
 * it holds the lock; the map's own spinlock orders what is written under it.
 */
enum form { ATOMIC, PLAIN };

struct map_def SECTION("maps") claim = { HASH, 4, 4, 1, 0 };

/*
 * Nobody waits: whoever finds it taken does nothing until the next event. It cannot get lost: a program at a tracepoint
 * runs to its end on one CPU, and a deletion fails (EBUSY) only within an interrupted insertion, where nobody reclaims.
 */
INLINE int take_claim(void)
{
	u32 key = 0;

	return !map_update_elem(&claim, &key, &key, NOEXIST);
}

INLINE void drop_claim(void)
{
	u32 key = 0;

	map_delete_elem(&claim, &key);
}

/*
 * Under the claim: all stores before are seen before all after. A spinlock given back (store-release) and taken again
 * (load-acquire) is that on every machine; each update of the element takes it and gives it back.
 */
INLINE void fence_claimed(void)
{
	u32 key = 0;

	map_update_elem(&claim, &key, &key, ANY);
	map_update_elem(&claim, &key, &key, ANY);
}

/* Word `i` from `old` to `new`, if nobody else was faster. PLAIN: only for words that no other process writes. */
INLINE int exchange(u64 *w, enum form form, u32 i, u64 old, u64 new)
{
	int is_old;

	if (form == ATOMIC)
		return EXCHANGE(i, old, new);
	if (!take_claim())
		return 0;
	is_old = W(i) == old;
	if (is_old)
		W(i) = new;
	drop_claim();
	return is_old;
}

/* From here to finish() no other CPU strikes; 0: one does. */
INLINE int begin(u64 *w, enum form form)
{
	if (form == ATOMIC)
		return EXCHANGE(STRIKING, 0, 1);
	if (!take_claim())
		return 0;
	W(STRIKING) = 1; /* for who looks on */
	return 1;
}

INLINE void finish(u64 *w, enum form form)
{
	if (form == ATOMIC) {
		__sync_lock_test_and_set(&w[STRIKING], 0);
		return;
	}
	W(STRIKING) = 0;
	drop_claim();
}

/* Between begin() and finish(): whoever sees this value sees what was written before it. */
INLINE void publish(u64 *w, enum form form, u32 i, u64 value)
{
	if (form == ATOMIC) {
		__sync_lock_test_and_set(&w[i], value);
		return;
	}
	fence_claimed();
	W(i) = value;
}

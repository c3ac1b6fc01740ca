// SPDX-License-Identifier: GPL-2.0-only
/*
 * The strike inside the kernel: kicks the killer when the guarded domain reclaims beyond its limit, and strikes in its
 * place while a kick stays unanswered. Nothing here allocates, sleeps or runs while nobody reclaims.
 *
 * No system header, no libbpf, no CO-RE: struct offsets come in words that the loader fills: from the running kernel's
 * BTF, or, for what the current programs need, by experiment (probe.bpf.c).
 * The words, rows and the log are in words.h, described in lmkd_py/kernel/bpf/layout.py.
 * One program a section, "domain/variant"; the loader takes the first variant that this kernel accepts. Of the one for
 * old kernels there is a second form, "domain/current_plain": see claim.h.
 */
#include "kernel.h"
#include "words.h"
#include "read.h"
#include "claim.h"

struct map_def SECTION("maps") guard = { ARRAY, 4, 8 * WORDS, 1, MMAPABLE };
struct map_def SECTION("maps") rows = { ARRAY, 4, sizeof(struct row), 2 * LIST_ROWS, MMAPABLE };
struct map_def SECTION("maps") log = { ARRAY, 4, sizeof(struct strike), LOG_ROWS, MMAPABLE };
struct map_def SECTION("maps") kicks = { RINGBUF, 0, 0, 0, 0 }; /* the loader makes it one page long */
struct map_def SECTION("maps") domain = { CGROUP_ARRAY, 4, 4, 1, 0 };

/*
 * Whether reclaim of the domain is beyond the limit: so many events in this window or in the one right before it, so
 * that steady pressure has no holes.
 */
INLINE int beyond_limit(u64 *w, enum form form, u64 now)
{
	u64 start = W(WINDOW_START), window = W(LIMIT_WINDOW_NS), limit = W(LIMIT_EVENTS);

	if (now >= start + window && exchange(w, form, WINDOW_START, start, now)) {
		W(WINDOW_BEFORE) = now < start + 2 * window ? W(WINDOW_EVENTS) : 0;
		W(WINDOW_EVENTS) = 0;
	}
	__sync_fetch_and_add(&w[WINDOW_EVENTS], 1);
	return W(WINDOW_EVENTS) >= limit || W(WINDOW_BEFORE) >= limit;
}

/*
 * ANSWERED (ACK >= KICK): kick again once REKICK has passed. OUTSTANDING: the time of the unanswered kick if somebody
 * has to strike now, and then it is us: begin() was called. One word is event and time, so no CPU can see one without the other.
 */
INLINE u64 unanswered(u64 *w, enum form form, u64 now)
{
	u64 kick = W(KICK), armed = W(ARMED);

	if (W(ACK) >= kick) {
		if (now < kick + W(REKICK_NS) || !exchange(w, form, KICK, kick, now))
			return 0;
		__sync_fetch_and_add(&w[KICKS], 1);
		ringbuf_output(&kicks, &now, sizeof(now), FORCE_WAKEUP);
		return 0;
	}
	if (armed != STRIKE || now <= kick + W(ANSWER_NS))
		return 0;
	if (now > kick + W(LEASE_NS)) { /* whoever armed us is gone */
		/* ARMED is user space's word as well, which no lock of ours keeps: the plain form only tells. */
		if (form == ATOMIC ? EXCHANGE(ARMED, armed, OFF) : !W(LAPSED))
			W(LAPSED) = now;
		return 0;
	}
	if (now < W(LAST_STRIKE) + W(GAP_NS) || !begin(w, form))
		return 0;
	if (now < W(LAST_STRIKE) + W(GAP_NS) || W(ACK) >= kick || W(ARMED) != STRIKE) {
		finish(w, form); /* another CPU struck, or the answer came */
		return 0;
	}
	return kick;
}

/* Log a strike, publish its number last, let others strike again. `task` is a number, not dereferenced. */
INLINE void record(u64 *w, enum form form, u64 now, u64 kick, u32 pid, s32 adj, u64 start_ticks, u64 task)
{
	u64 number = W(STRIKES);
	u32 key = number % LOG_ROWS;
	struct strike *entry = map_lookup_elem(&log, &key);

	W(LAST_STRIKE) = now;
	if (!entry)
		return;
	entry->at_ns = now;
	entry->kick_ns = kick;
	entry->pid = pid;
	entry->adj = adj;
	entry->start_ticks = start_ticks;
	entry->rss_pages = rss_of(w, task);
	publish(w, form, STRIKES, number + 1);
}

/*
 * Kill `task` if it still is the process of this pid and start time, no more important than it was, not spared and not
 * dying: 1 struck, 0 skip it, -1 try later.
 */
INLINE int strike_task(u64 *w, u64 now, u64 kick, struct task_struct *task, u32 pid, s32 adj, u64 start_ticks)
{
	u64 number = 0, signal;
	long sent;

	/* The verifier refuses unknown offsets on a task pointer, not on the number that it is. */
	probe_read_kernel(&number, sizeof(number), &task);
	signal = read64(number, W(TASK_SIGNAL));
	if (start_ticks_of(w, number) != start_ticks || is_spared(w, pid) || adj_of(w, signal) < adj || is_dying(w, signal))
		return 0;
	sent = bpf_send_signal_task(task, SIGKILL, PIDTYPE_TGID, 0);
	if (sent == -EBUSY) {
		__sync_fetch_and_add(&w[BUSY], 1);
		return -1;
	}
	if (sent)
		return 0;
	record(w, ATOMIC, now, kick, pid, adj_of(w, signal), start_ticks, number);
	return 1;
}

/*
 * The head of the steward's kill-list. At most 32 rows an event are passed over: the dead, recycled pids, the spared, those
 * that became more important than they were when listed, those the kernel will not signal. Only a signal that it could not
 * take just now keeps the head where it is.
 */
INLINE void strike_list(u64 *w, u64 now, u64 kick)
{
	u32 tries;

	for (tries = 0; tries < 32; tries++) {
		u64 cursor = W(CURSOR);
		u32 index = cursor & 0x7fff, key = (cursor >> 15 & 1) * LIST_ROWS + index;
		struct task_struct *task;
		struct row *row;
		int struck = 0;
		u32 pid;

		if (index >= LIST_ROWS)
			break;
		row = map_lookup_elem(&rows, &key);
		if (!row)
			break;
		pid = *(volatile u32 *)&row->pid;
		if (!pid)
			break;
		task = bpf_task_from_pid(pid);
		if (task) {
			s32 adj = *(volatile s32 *)&row->adj;

			struck = strike_task(w, now, kick, task, pid, adj, *(volatile u64 *)&row->start_ticks);
			bpf_task_release(task);
		}
		if (struck < 0)
			break;
		if (!struck)
			__sync_fetch_and_add(&w[SKIPPED], 1);
		/* Fails where the steward has published a new list meanwhile: then that one counts. */
		EXCHANGE(CURSOR, cursor, cursor + 1);
		if (struck)
			break;
	}
}

/* Where nothing tells who is dying, the process struck last is taken to be: it is not struck and logged again. */
INLINE int is_last(u64 *w, u32 tgid)
{
	u64 number = W(STRIKES);
	u32 key = (number - 1) % LOG_ROWS;
	struct strike *entry = map_lookup_elem(&log, &key);

	return !knows(w, SIGNAL_FLAGS) && number && entry && entry->pid == tgid;
}

/* The reclaiming process itself, where it is expendable. */
INLINE void strike_current(u64 *w, enum form form, u64 now, u64 kick)
{
	u64 task = get_current_task(), signal = read64(task, W(TASK_SIGNAL));
	s32 adj = adj_of(w, signal);
	u64 start_ticks = knows(w, TASK_LEADER) ? start_ticks_of(w, read64(task, W(TASK_LEADER))) : ~0ULL;
	u32 tgid = get_current_pid_tgid() >> 32;
	long sent;

	if (adj < (s32)W(ADJ_FLOOR) || is_spared(w, tgid) || is_dying(w, signal) || is_last(w, tgid))
		return;
	sent = send_signal(SIGKILL);
	if (sent == -EBUSY)
		__sync_fetch_and_add(&w[BUSY], 1);
	if (!sent)
		record(w, form, now, kick, tgid, adj, start_ticks, task);
}

/* The process with the highest oom_score_adj of the domain, the largest of those: no list is needed. */
INLINE void strike_walk(u64 *w, u64 now, u64 kick, int whole_system)
{
	u64 best_rss = 0, best_start = 0;
	s32 best_adj = W(ADJ_FLOOR), best_pid = 0;
	struct task_struct *task;
	struct bpf_iter_task it;
	struct cgroup *cgroup = 0;

	if (!whole_system) {
		cgroup = bpf_cgroup_from_id(W(CGROUP_ID));
		if (!cgroup)
			return;
	}
	bpf_rcu_read_lock();
	bpf_iter_task_new(&it, 0, 0);
	while ((task = bpf_iter_task_next(&it))) {
		u64 number = 0, signal, rss;
		s32 adj;

		probe_read_kernel(&number, sizeof(number), &task);
		signal = read64(number, W(TASK_SIGNAL));
		adj = adj_of(w, signal);
		if (adj < best_adj || !read64(number, W(TASK_MM)) || is_dying(w, signal))
			continue;
		if (is_spared(w, read32(number, W(TASK_TGID))))
			continue;
		if (!whole_system && !bpf_task_under_cgroup(task, cgroup))
			continue;
		rss = rss_of(w, number);
		if (best_pid && adj == best_adj && rss <= best_rss)
			continue;
		best_adj = adj;
		best_rss = rss;
		best_pid = read32(number, W(TASK_TGID));
		best_start = start_ticks_of(w, number);
	}
	bpf_iter_task_destroy(&it);
	bpf_rcu_read_unlock();
	if (!whole_system)
		bpf_cgroup_release(cgroup);
	if (!best_pid)
		return;
	task = bpf_task_from_pid(best_pid);
	if (!task)
		return;
	strike_task(w, now, kick, task, best_pid, best_adj, best_start);
	bpf_task_release(task);
}

INLINE u64 *armed_words(void)
{
	u32 key = 0;
	u64 *w = map_lookup_elem(&guard, &key);

	return w && W(ARMED) != OFF ? w : 0;
}

/* A reclaim event of a memory cgroup counts if the reclaiming task lives in the guarded one. */
INLINE u64 *memcg_words(void)
{
	u64 *w = current_task_under_cgroup(&domain, 0) == 1 ? armed_words() : 0;

	if (w)
		__sync_fetch_and_add(&w[EVENTS], 1);
	return w;
}

/* Direct reclaim is the whole system's, and counted as such; it is pressure where free memory is below the limit. */
INLINE u64 *system_words(void)
{
	u64 *w = armed_words();
	u64 pages;

	if (!w)
		return 0;
	__sync_fetch_and_add(&w[EVENTS], 1);
	pages = free_pages(w);
	W(FREE_PAGES) = pages;
	return pages < W(FREE_LIMIT_PAGES) ? w : 0;
}

/* 1: the event goes on to whoever counts it by perf; 0 would hide it from every perf event on the machine. */
#define PROGRAM(place, name, form, strike)                     \
	SECTION(#place "/" #name)                              \
	int place##_##name(void *ctx)                          \
	{                                                      \
		u64 now, kick, *w = place##_words();           \
                                                               \
		(void)ctx;                                     \
		if (!w)                                        \
			return 1;                              \
		now = ktime_get_ns();                          \
		if (!beyond_limit(w, form, now))               \
			return 1;                              \
		kick = unanswered(w, form, now);               \
		if (!kick)                                     \
			return 1;                              \
		strike;                                        \
		finish(w, form);                               \
		return 1;                                      \
	}

PROGRAM(memcg, list, ATOMIC, strike_list(w, now, kick))
PROGRAM(memcg, current, ATOMIC, strike_current(w, ATOMIC, now, kick))
PROGRAM(memcg, current_plain, PLAIN, strike_current(w, PLAIN, now, kick))
PROGRAM(memcg, walk, ATOMIC, strike_walk(w, now, kick, 0))
PROGRAM(system, list, ATOMIC, strike_list(w, now, kick))
PROGRAM(system, current, ATOMIC, strike_current(w, ATOMIC, now, kick))
PROGRAM(system, current_plain, PLAIN, strike_current(w, PLAIN, now, kick))
PROGRAM(system, walk, ATOMIC, strike_walk(w, now, kick, 1))

char gpl[] SECTION("license") = "GPL";

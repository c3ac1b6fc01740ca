// SPDX-License-Identifier: GPL-2.0-only
/* The little of the kernel that the strike uses: types, helpers by number, kernel functions by name. */
typedef unsigned char u8;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;

#define SECTION(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* linux/bpf.h */
enum { HASH = 1, ARRAY = 2, CGROUP_ARRAY = 8, RINGBUF = 27, MMAPABLE = 1 << 10, FORCE_WAKEUP = 1 << 1 };
enum { ANY = 0, NOEXIST = 1 };

struct map_def { u32 type, key_size, value_size, max_entries, flags; };

/* linux/sched/signal.h: unchanged since 2.6; signal.h */
enum { SIGNAL_GROUP_EXIT = 4, SIGKILL = 9, PIDTYPE_TGID = 1 };
enum { EBUSY = 16 };

static void *(*map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*ktime_get_ns)(void) = (void *)5;
static u64 (*get_current_pid_tgid)(void) = (void *)14;
static u64 (*get_current_task)(void) = (void *)35;
static long (*current_task_under_cgroup)(void *map, u32 index) = (void *)37;
static long (*send_signal)(u32 sig) = (void *)109;
static long (*probe_read_kernel)(void *dst, u32 size, const void *from) = (void *)113;
static long (*ringbuf_output)(void *ringbuf, void *data, u64 size, u64 flags) = (void *)130;

struct task_struct;
struct cgroup;
struct bpf_iter_task { u64 opaque[3]; } __attribute__((aligned(8)));
extern struct task_struct *bpf_task_from_pid(s32 pid) SECTION(".ksyms");
extern void bpf_task_release(struct task_struct *task) SECTION(".ksyms");
extern int bpf_send_signal_task(struct task_struct *task, int sig, u32 type, u64 value) SECTION(".ksyms");
extern void bpf_rcu_read_lock(void) SECTION(".ksyms");
extern void bpf_rcu_read_unlock(void) SECTION(".ksyms");
extern int bpf_iter_task_new(struct bpf_iter_task *it, struct task_struct *task, u32 flags) SECTION(".ksyms");
extern struct task_struct *bpf_iter_task_next(struct bpf_iter_task *it) SECTION(".ksyms");
extern void bpf_iter_task_destroy(struct bpf_iter_task *it) SECTION(".ksyms");
extern struct cgroup *bpf_cgroup_from_id(u64 id) SECTION(".ksyms");
extern void bpf_cgroup_release(struct cgroup *cgrp) SECTION(".ksyms");
extern long bpf_task_under_cgroup(struct task_struct *task, struct cgroup *ancestor) SECTION(".ksyms");

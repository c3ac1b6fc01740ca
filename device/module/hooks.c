// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a task's flags are passed on: birth and exec. Modules get no call there, but tracepoints run in the right
 * context, and every kernel that exports for_each_kernel_tracepoint lets them be found by name.
 */
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/string.h>
#include <linux/tracepoint.h>

#include "hooks.h"

/*
 * A new task starts with its maker's flags. It is caught before it first runs: nobody else writes them until then. Not
 * sched_process_fork, which io_uring's workers pass by.
 */
static void at_birth(void *data, struct task_struct *child)
{
	if ((child->flags & PF_MEMALLOC) && !(child->flags & PF_KTHREAD))
		child->flags &= ~PF_MEMALLOC;
}

/* A descriptor that stays open over exec does not take the window along. */
static void at_exec(void *data, struct task_struct *task, pid_t old_pid, void *bprm)
{
	task->flags &= ~PF_MEMALLOC;
}

static struct {
	const char *name;
	void *probe;
	struct tracepoint *point;
	bool registered;
} hooks[] = {
	{ "sched_wakeup_new", at_birth },
	{ "sched_process_exec", at_exec },
};

static void find_hook(struct tracepoint *point, void *unused)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (!strcmp(point->name, hooks[i].name))
			hooks[i].point = point;
}

void hooks_unregister(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(hooks); i++)
		if (hooks[i].registered)
			tracepoint_probe_unregister(hooks[i].point, hooks[i].probe, NULL);
	tracepoint_synchronize_unregister();
}

int hooks_register(void)
{
	int i, error = 0;

	for_each_kernel_tracepoint(find_hook, NULL);
	for (i = 0; i < ARRAY_SIZE(hooks) && !error; i++) {
		if (!hooks[i].point) {
			pr_err("lmkd_memalloc: no tracepoint %s: the flag would be inherited\n", hooks[i].name);
			error = -ENODEV;
		} else {
			error = tracepoint_probe_register(hooks[i].point, hooks[i].probe, NULL);
			hooks[i].registered = !error;
		}
	}
	if (error)
		hooks_unregister();
	return error;
}

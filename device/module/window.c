// SPDX-License-Identifier: GPL-2.0-only
/*
 * The PF_MEMALLOC window: a low-memory killer may use the kernel's reserves from its trigger to its last kill.
 *
 * The flag belongs to one thread and only that thread may write it, so everything here happens in the owner's own
 * context: its ioctl, its close, its exec. What somebody else decides (another thread closes the file, the window has
 * been open for too long) is handed to the owner as task work, where the kernel lets modules have that; without it, it
 * takes effect at the owner's next call.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/kref.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/task_work.h>
#include <linux/timer.h>
#include <linux/version.h>

#include "hooks.h"
#include "lmkd_memalloc.h"

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete del_timer
#define timer_delete_sync del_timer_sync
#endif

static unsigned int max_window_ms = 1000;
module_param(max_window_ms, uint, 0644);
MODULE_PARM_DESC(max_window_ms, "a window open for longer is closed, and its next SET fails with ETIME; 0: no limit");

struct window {
	struct kref kref;
	spinlock_t lock;	   /* of all below; taken with bottom halves off, for the timer */
	struct task_struct *owner; /* referenced; whose flag is or was set last */
	unsigned long ends;	   /* jiffies; 0: never */
	bool abandoned;		   /* closed by somebody else than the owner */
	bool overran;		   /* the last window was ended by its limit: the owner has yet to be told */
#ifdef LMKD_TASK_WORK
	struct timer_list limit;
	struct callback_head work;
	bool queued;
#endif
};

static void window_free(struct kref *kref)
{
	struct window *w = container_of(kref, struct window, kref);

	if (w->owner)
		put_task_struct(w->owner);
	kfree(w);
}

static bool is_open(const struct window *w)
{
	return w->owner == current && (current->flags & PF_MEMALLOC);
}

static bool has_expired(const struct window *w)
{
	return w->ends && time_after_eq(jiffies, w->ends);
}

/* In the owner's context, locked. */
static void shut(struct window *w)
{
	current->flags &= ~PF_MEMALLOC;
	w->ends = 0;
}

#ifdef LMKD_TASK_WORK
static void run_in_owner(struct callback_head *work)
{
	struct window *w = container_of(work, struct window, work);

	spin_lock_bh(&w->lock);
	w->queued = false;
	if (is_open(w) && (w->abandoned || has_expired(w))) {
		w->overran = !w->abandoned;
		shut(w);
	}
	spin_unlock_bh(&w->lock);
	kref_put(&w->kref, window_free);
	module_put(THIS_MODULE);
}

/* Locked. */
static void ask_owner(struct window *w)
{
	if (!w->owner || w->queued)
		return;
	init_task_work(&w->work, run_in_owner);
	kref_get(&w->kref);
	__module_get(THIS_MODULE);
	w->queued = true;
	if (task_work_add(w->owner, &w->work, TWA_RESUME)) { /* it is exiting, and its flag with it */
		w->queued = false;
		kref_put(&w->kref, window_free); /* never the last: our caller holds one */
		module_put(THIS_MODULE);
	}
}

static void limit_reached(struct timer_list *timer)
{
	struct window *w = container_of(timer, struct window, limit);

	spin_lock(&w->lock);
	ask_owner(w);
	spin_unlock(&w->lock);
}

static void limit_setup(struct window *w)
{
	timer_setup(&w->limit, limit_reached, 0);
}

static void limit_start(struct window *w)
{
	if (w->ends)
		mod_timer(&w->limit, w->ends);
}

static void limit_stop(struct window *w)
{
	timer_delete(&w->limit);
}

static void limit_end(struct window *w)
{
	timer_delete_sync(&w->limit);
}
#else
static void ask_owner(struct window *w) {}
static void limit_setup(struct window *w) {}
static void limit_start(struct window *w) {}
static void limit_stop(struct window *w) {}
static void limit_end(struct window *w) {}
#endif

/* Locked. */
static long window_set(struct window *w)
{
	bool overran = w->overran;

	if (w->owner && w->owner != current && !(READ_ONCE(w->owner->flags) & PF_EXITING))
		return -EBUSY; /* one file is for one thread */
	if (is_open(w)) {
		if (!has_expired(w))
			return 0; /* it goes on, and no longer for that */
		shut(w);
		return -ETIME;
	}
	w->overran = false;
	if (overran)
		return -ETIME;
	if (current->flags & PF_MEMALLOC)
		return -EBUSY; /* through another file */
	if (w->owner != current) {
		if (w->owner)
			put_task_struct(w->owner);
		w->owner = get_task_struct(current);
	}
	w->abandoned = false;
	w->ends = max_window_ms ? (jiffies + msecs_to_jiffies(max_window_ms)) | 1 : 0;
	limit_start(w);
	current->flags |= PF_MEMALLOC;
	return 0;
}

static long memalloc_ioctl(struct file *file, unsigned int command, unsigned long unused)
{
	struct window *w = file->private_data;
	long result = 0;

	switch (command) {
	case LMKD_MEMALLOC_GET_VERSION:
		return LMKD_MEMALLOC_VERSION;
	case LMKD_MEMALLOC_SET:
		if (!capable(CAP_SYS_RESOURCE)) /* of the caller, whoever opened the file */
			return -EPERM;
		spin_lock_bh(&w->lock);
		result = window_set(w);
		spin_unlock_bh(&w->lock);
		return result;
	case LMKD_MEMALLOC_CLEAR:
		spin_lock_bh(&w->lock);
		if (is_open(w)) {
			limit_stop(w);
			shut(w);
		}
		w->overran = false;
		spin_unlock_bh(&w->lock);
		return 0;
	}
	return -ENOTTY;
}

static int memalloc_open(struct inode *inode, struct file *file)
{
	struct window *w = kzalloc(sizeof(*w), GFP_KERNEL);

	if (!w)
		return -ENOMEM;
	kref_init(&w->kref);
	spin_lock_init(&w->lock);
	limit_setup(w);
	file->private_data = w;
	return 0;
}

/* Each close of each descriptor. A child that closes what it inherited does not concern its parent's window. */
static int memalloc_flush(struct file *file, fl_owner_t id)
{
	struct window *w = file->private_data;

	spin_lock_bh(&w->lock);
	if (is_open(w)) {
		limit_stop(w);
		shut(w);
	} else if (w->owner && same_thread_group(w->owner, current)) {
		w->abandoned = true;
		ask_owner(w);
	}
	spin_unlock_bh(&w->lock);
	return 0;
}

static int memalloc_release(struct inode *inode, struct file *file)
{
	struct window *w = file->private_data;

	limit_end(w);
	spin_lock_bh(&w->lock);
	w->abandoned = true;
	if (w->owner != current)
		ask_owner(w);
	spin_unlock_bh(&w->lock);
	kref_put(&w->kref, window_free);
	return 0;
}

static const struct file_operations memalloc_fops = {
	.owner = THIS_MODULE,
	.open = memalloc_open,
	.flush = memalloc_flush,
	.release = memalloc_release,
	.unlocked_ioctl = memalloc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice memalloc_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "lmkd_memalloc",
	.fops = &memalloc_fops,
	.mode = 0600,
};

static int __init memalloc_init(void)
{
	int error = hooks_register();

	if (error)
		return error;
	error = misc_register(&memalloc_device);
	if (error)
		hooks_unregister();
	return error;
}

static void __exit memalloc_exit(void)
{
	misc_deregister(&memalloc_device);
	hooks_unregister();
}

module_init(memalloc_init);
module_exit(memalloc_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("PF_MEMALLOC for one thread at a time, from the trigger of a low-memory killer to its last kill");

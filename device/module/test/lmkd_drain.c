// SPDX-License-Identifier: GPL-2.0-only
/*
 * For tests alone: takes every page that GFP_ATOMIC can get, once or for as long as it is told, and times single
 * allocations. That is the worst case of a low-memory killer: interrupts have stolen everything. Nothing of this is in
 * the module that is shipped.
 */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync del_timer_sync
#endif

#define DRAIN_TAKE _IO(0xA9, 0x41)  /* all there is now; returns how many pages are held */
#define DRAIN_KEEP _IO(0xA9, 0x42)  /* arg ms: all there is now and some of what becomes free; ends by itself */
#define DRAIN_GIVE _IO(0xA9, 0x43)  /* returns how many pages were held */
#define DRAIN_ALLOC _IO(0xA9, 0x44) /* arg order: one alloc_pages(GFP_KERNEL), given back; returns its time in us */

#define FREED_MOST 1024 /* pages */

static LIST_HEAD(taken);
static DEFINE_SPINLOCK(lock);
static long held;
static long most; /* pages that are kept at the most */
static unsigned long keep_until;
static struct timer_list keeper;

static long take(long limit)
{
	struct page *page;
	long all;

	spin_lock_bh(&lock);
	while (held < limit && (page = alloc_page(GFP_ATOMIC | __GFP_NOWARN))) {
		list_add(&page->lru, &taken);
		held++;
	}
	all = held;
	spin_unlock_bh(&lock);
	return all;
}

static long give(void)
{
	struct page *page, *next;
	LIST_HEAD(all);
	long count;

	spin_lock_bh(&lock);
	list_splice_init(&taken, &all);
	count = held;
	held = 0;
	spin_unlock_bh(&lock);
	list_for_each_entry_safe(page, next, &all, lru)
		__free_page(page);
	return count;
}

static void keep_on(struct timer_list *unused)
{
	take(most);
	if (time_before(jiffies, keep_until))
		mod_timer(&keeper, jiffies + 1);
	else
		give();
}

static long time_alloc(unsigned int order)
{
	u64 began = ktime_get_ns();
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
	long us = (long)((ktime_get_ns() - began) / 1000);

	if (!page)
		return -ENOMEM;
	__free_pages(page, order);
	return us;
}

static long drain_ioctl(struct file *file, unsigned int command, unsigned long arg)
{
	if (command != DRAIN_ALLOC && (current->flags & PF_MEMALLOC))
		return -EBUSY; /* it would take the reserves, too */
	switch (command) {
	case DRAIN_TAKE:
		return take(LONG_MAX);
	case DRAIN_KEEP:
		/* Some of what is freed from here on, but not all that the victims leave: the kernel would panic in the end. */
		most = take(LONG_MAX) + FREED_MOST;
		keep_until = jiffies + msecs_to_jiffies(arg);
		mod_timer(&keeper, jiffies + 1);
		return 0;
	case DRAIN_GIVE:
		timer_delete_sync(&keeper);
		return give();
	case DRAIN_ALLOC:
		return arg > 3 ? -EINVAL : time_alloc(arg);
	}
	return -ENOTTY;
}

static int drain_release(struct inode *inode, struct file *file)
{
	timer_delete_sync(&keeper);
	give();
	return 0;
}

static const struct file_operations drain_fops = {
	.owner = THIS_MODULE,
	.release = drain_release,
	.unlocked_ioctl = drain_ioctl,
};

static struct miscdevice drain_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "lmkd_drain",
	.fops = &drain_fops,
	.mode = 0600,
};

static int __init drain_init(void)
{
	timer_setup(&keeper, keep_on, 0);
	return misc_register(&drain_device);
}

static void __exit drain_exit(void)
{
	misc_deregister(&drain_device);
}

module_init(drain_init);
module_exit(drain_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("TEST ONLY: takes the memory of the machine it runs on");

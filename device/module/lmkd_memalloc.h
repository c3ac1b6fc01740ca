/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* What /dev/lmkd_memalloc understands; lmkd_py/kernel/protection/memalloc.py holds the same numbers. No call has an argument. */
#ifndef LMKD_MEMALLOC_H
#define LMKD_MEMALLOC_H

#include <linux/ioctl.h>

#define LMKD_MEMALLOC_VERSION 1

#define LMKD_MEMALLOC_GET_VERSION _IO(0xA9, 0) /* returns LMKD_MEMALLOC_VERSION */
#define LMKD_MEMALLOC_SET _IO(0xA9, 1)
#define LMKD_MEMALLOC_CLEAR _IO(0xA9, 2)

#endif

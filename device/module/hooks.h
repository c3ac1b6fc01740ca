/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef LMKD_HOOKS_H
#define LMKD_HOOKS_H

/* From here on no task inherits PF_MEMALLOC. -ENODEV where the kernel lacks a tracepoint for it. */
int hooks_register(void);
void hooks_unregister(void);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Shows kernel memory to the loader where the kernel tells nothing about its types: lmkd_py/kernel/bpf/peek.py asks for
 * an address, renames itself, and finds the bytes in a map. Runs at the tracepoint task_rename; unloaded after seconds.
 */
#include "kernel.h"

/* lmkd_py/kernel/bpf/peek.py has the same. Pieces, because a read beyond mapped memory fails as a whole. */
enum { PIECE = 64, PIECES = 64 };
enum ask { NAME = 0, ADDRESS, WANTED, TASK, ANSWERS, ASK_WORDS = 8 };

struct map_def SECTION("maps") ask = { ARRAY, 4, 8 * ASK_WORDS, 1, MMAPABLE };
struct map_def SECTION("maps") seen = { ARRAY, 4, PIECE * PIECES, 1, MMAPABLE };

/* The new name, of which only the asker knows the first eight bytes, tells whose renaming is a question. */
SECTION("probe/peek")
int peek(u64 *ctx)
{
	u32 key = 0, piece;
	volatile u64 *w = map_lookup_elem(&ask, &key);
	char *to = map_lookup_elem(&seen, &key);
	u64 name = 0, from;

	if (!w || !to)
		return 0;
	probe_read_kernel(&name, sizeof(name), (void *)ctx[1]);
	if (name != w[NAME])
		return 0;
	w[TASK] = get_current_task();
	from = w[ADDRESS];
	for (piece = 0; piece < PIECES; piece++) {
		if (piece >= w[WANTED])
			break;
		/* What cannot be read is zeros. */
		probe_read_kernel(to + PIECE * piece, PIECE, (void *)(from + PIECE * piece));
	}
	w[ANSWERS]++;
	return 0;
}

char gpl[] SECTION("license") = "GPL";

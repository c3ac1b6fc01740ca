"""How much room is left: what tasks can still take before all they can do is wait for memory.

Room = free memory above the low watermark + file cache that can be dropped + what swapping out really frees. A page in
zram takes a part of a page again, and how large a part is measured. Slab does not count: where the root file system
lies in memory its dentries are pinned, and yet they pass for reclaimable.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from .config import PolicyConfig
from .signals import ZRAM_TELLS_KB
from .snapshot import Snapshot

ALL_PERMILLE: Final = 1000  # what is swapped out to a disk is free
UNTOLD_PERMILLE: Final = 500  # of zram that does not tell, or in which too little is stored for that


class Room(NamedTuple):
    """In kB: kb = free_kb + file_kb + swap_kb + dying_kb."""

    kb: int
    reserve_kb: int  # with less room than this somebody has to die
    free_kb: int  # free memory above the low watermark; below 0 where it is under that
    file_kb: int  # of the file cache
    swap_kb: int  # what swapping out frees
    dying_kb: int  # what a victim has that is not dead yet
    gain_permille: int  # of a page that is swapped out so much becomes free
    unused_kb: int  # free memory as kswapd holds it against its watermarks: without CMA, without the file cache


def room_of(snapshot: Snapshot, low_pages: int, dying_kb: int, config: PolicyConfig) -> Room:
    """The room of a snapshot. page_kb is above 0; `low_pages` and `dying_kb` are ABSENT where there are none.

    A cgroup has no Cached. Its free memory contains the file LRU, and its low watermark is a share of its limit, so
    nothing has to stay in the cache beside that.
    """
    low_kb = low_pages * snapshot.page_kb if low_pages > 0 else 0
    file_lru_kb = max(0, snapshot.active_file_kb) + max(0, snapshot.inactive_file_kb)
    unused_kb, file_kb = snapshot.mem_free_kb, file_lru_kb
    if snapshot.cached_kb < 0:
        unused_kb -= file_lru_kb
    else:
        file_kb -= min(file_lru_kb // 2, low_kb)  # as MemAvailable counts it (si_mem_available in mm/show_mem.c)
    file_kb = max(0, min(file_kb, file_lru_kb - config.filecache_min_kb))
    gain_permille = gain(snapshot)
    swap_kb = _swapping_frees_kb(snapshot, gain_permille)
    free_kb = unused_kb - low_kb
    dying_kb = max(0, dying_kb)
    all_kb = max(0, snapshot.mem_total_kb) + max(0, snapshot.swap_total_kb)
    return Room(
        free_kb + file_kb + swap_kb + dying_kb,
        all_kb * config.reserve_permille // 1000,
        free_kb,
        file_kb,
        swap_kb,
        dying_kb,
        gain_permille,
        unused_kb - max(0, snapshot.cma_free_kb),
    )


def gain(snapshot: Snapshot) -> int:
    """How much of a page becomes free when it is swapped out to zram, in permille; all of it where no swap is zram.

    A cgroup is charged for no page in zram, so there it is all of it, too.
    """
    if snapshot.cached_kb < 0 or snapshot.zram_swap_kb == 0:
        return ALL_PERMILLE
    return _shrinks_permille(snapshot)


def _shrinks_permille(snapshot: Snapshot) -> int:
    # By how much zram makes a page smaller.
    stored_kb, used_kb = snapshot.zram_stored_kb, snapshot.zram_used_kb
    if stored_kb < ZRAM_TELLS_KB or used_kb < 0:
        return UNTOLD_PERMILLE
    return max(0, stored_kb - used_kb) * ALL_PERMILLE // stored_kb


def _swapping_frees_kb(snapshot: Snapshot, gain_permille: int) -> int:
    # zram is filled first, as it has the higher priority wherever both are used, and takes no more than its limit lets
    # it. What it refuses stays where it is: the kernel does not try the next area.
    swappable_kb = _swappable_kb(snapshot)
    if snapshot.zram_swap_kb == 0:
        return swappable_kb
    stored_kb, used_kb, limit_kb = snapshot.zram_stored_kb, snapshot.zram_used_kb, snapshot.zram_limit_kb
    zram_kb = swappable_kb
    if 0 < snapshot.zram_swap_kb < snapshot.swap_total_kb and stored_kb >= 0:
        zram_kb = min(zram_kb, max(0, snapshot.zram_swap_kb - stored_kb))
    disk_kb = swappable_kb - zram_kb
    if limit_kb >= 0 and used_kb >= 0:
        taken_permille = ALL_PERMILLE - _shrinks_permille(snapshot)
        if taken_permille > 0:
            zram_kb = min(zram_kb, max(0, limit_kb - used_kb) * ALL_PERMILLE // taken_permille)
    return zram_kb * gain_permille // ALL_PERMILLE + disk_kb


def _swappable_kb(snapshot: Snapshot) -> int:
    free_kb = max(0, snapshot.swap_free_kb)
    if snapshot.active_anon_kb < 0 or snapshot.inactive_anon_kb < 0:
        return free_kb
    return min(free_kb, snapshot.active_anon_kb + snapshot.inactive_anon_kb)

"""What zram really makes of swap: /proc/swaps once, /sys/block/zramN/mm_stat at each sample."""

from __future__ import annotations

import os

from ....core.vocabulary import ABSENT
from ..mounts import under
from ..pinned import PinnedFile
from .table import MAX_INT64


class Zram:
    """The part of the host's swap that is zram. Reading allocates nothing.

    A swap area that comes or goes later changes SwapTotal: then nobody knows how much of it is zram, until the next
    killer opens this anew.
    """

    __slots__ = ("files", "swap_total_kb", "zram_kb")

    def __init__(self, paths: list[str], zram_kb: int, swap_total_kb: int) -> None:
        """`paths`: mm_stat of the devices. Where one cannot be read (before Linux 4.1) none is."""
        self.files: list[PinnedFile] = []
        self.zram_kb = zram_kb
        self.swap_total_kb = swap_total_kb
        try:
            for path in paths:
                self.files.append(PinnedFile(path))
        except OSError:
            for file in self.files:
                file.close()
            self.files = []

    def read(self, swap_total_kb: int) -> tuple[int, int, int, int]:
        """(stored_kb, used_kb, swap_kb, limit_kb): zram_* of Snapshot; ABSENT if that cannot be told now."""
        if swap_total_kb != self.swap_total_kb:
            return ABSENT, ABSENT, ABSENT, ABSENT
        untold = ABSENT, ABSENT, self.zram_kb, ABSENT
        if not self.files:
            return untold
        stored = used = limit = 0
        limited = True
        for file in self.files:
            if file.read() < 0:
                return untold
            # orig_data_size compr_data_size mem_used_total mem_limit ..., bytes; a limit of 0 is none
            # (drivers/block/zram/zram_drv.c, mm_stat_show)
            words = file.buf[1 : file.end].split(None, 4)
            if len(words) < 4 or not (words[0].isdigit() and words[2].isdigit() and words[3].isdigit()):
                return untold
            stored += int(words[0])
            used += int(words[2])
            limit += int(words[3])
            limited = limited and int(words[3]) > 0
        if max(stored, used, limit) > MAX_INT64:
            return untold
        return stored >> 10, used >> 10, self.zram_kb, limit >> 10 if limited else ABSENT


def open_zram(root: str) -> Zram | None:
    """Start-up: None where nobody tells what swap lies on."""
    try:
        with open(under(root, "/proc/swaps"), "rb") as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return None
    paths, zram_kb, swap_total_kb = [], 0, 0
    for line in lines:
        # "Filename Type Size Used Priority", kB; a file on a zram device has another name and is no partition.
        area = line.split()
        name = os.path.basename(area[0]) if area else b""
        if len(area) < 3 or not area[2].isdigit():
            return None
        swap_total_kb += int(area[2])
        if name.startswith(b"zram") and name[4:].isdigit() and area[1] == b"partition":
            paths.append(under(root, f"/sys/block/{name.decode()}/mm_stat"))
            zram_kb += int(area[2])
    return Zram(paths, zram_kb, swap_total_kb)

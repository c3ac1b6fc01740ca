"""What zram really makes of swap: /proc/swaps once, /sys/block/zramN/mm_stat at each sample."""

from __future__ import annotations

import os

from ....core.vocabulary import ABSENT
from ..mounts import under
from ..pinned import PinnedFile
from .table import MAX_INT64


class Zram:
    """All swap of the host, where all of it is zram. Reading allocates nothing.

    A swap area that comes or goes later changes SwapTotal: then nobody knows whether all of it is zram, until the next
    killer opens this anew.
    """

    __slots__ = ("files", "swap_total_kb")

    def __init__(self, paths: list[str], swap_total_kb: int) -> None:
        self.files: list[PinnedFile] = []
        self.swap_total_kb = swap_total_kb
        try:
            for path in paths:
                self.files.append(PinnedFile(path))
        except OSError:
            for file in self.files:
                file.close()
            raise

    def read(self, swap_total_kb: int) -> tuple[int, int]:
        """(stored_kb, used_kb): before compression, and the memory that takes. ABSENT if that cannot be told now."""
        if swap_total_kb != self.swap_total_kb:
            return ABSENT, ABSENT
        stored = used = 0
        for file in self.files:
            if file.read() < 0:
                return ABSENT, ABSENT
            # orig_data_size compr_data_size mem_used_total ..., bytes (drivers/block/zram/zram_drv.c, mm_stat_show)
            words = file.buf[1 : file.end].split(None, 3)
            if len(words) < 3 or not words[0].isdigit() or not words[2].isdigit():
                return ABSENT, ABSENT
            stored += int(words[0])
            used += int(words[2])
        return (stored >> 10, used >> 10) if max(stored, used) <= MAX_INT64 else (ABSENT, ABSENT)


def open_zram(root: str) -> Zram | None:
    """Start-up: None where there is no swap, not all of it is zram, or mm_stat cannot be read (Linux 4.1)."""
    try:
        with open(under(root, "/proc/swaps"), "rb") as file:
            lines = file.read().splitlines()[1:]
    except OSError:
        return None
    paths, swap_total_kb = [], 0
    for line in lines:
        # "Filename Type Size Used Priority", kB; a file on a zram device has another name and is no partition.
        area = line.split()
        name = os.path.basename(area[0]) if len(area) >= 3 else b""
        if not name.startswith(b"zram") or not name[4:].isdigit() or area[1] != b"partition" or not area[2].isdigit():
            return None
        paths.append(under(root, f"/sys/block/{name.decode()}/mm_stat"))
        swap_total_kb += int(area[2])
    try:
        return Zram(paths, swap_total_kb) if paths else None
    except OSError:
        return None

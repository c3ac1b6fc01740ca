"""What candidates have in swap. The killer cannot know: statm leaves it out, and no file that tells it can be pinned.

Looked at when everybody is looked at while memory is short; a kill that frees nothing is told from one that frees swap.
"""

from __future__ import annotations

from ....core.vocabulary import ABSENT
from ....kernel.acting.process import read_swap_kb
from ....kernel.acting.syscalls import pidfd_send_signal
from ....kernel.sensing.domain.base import PAGE_KB
from .candidates import CandidateProcess, Candidates

LOOKED_AT = 32  # the most expendable; each costs the steward a file to open
SHARE = 8  # a size that changed by less than an eighth is not told again


def tell(candidates: Candidates, swap_total_kb: int) -> int:
    """Tell the killer what the most expendable have in swap, where there is any; how many sizes were told."""
    if swap_total_kb <= 0:
        return 0
    told = 0
    for process in candidates.most_expendable(LOOKED_AT, 0):
        swap_pages = _swap_pages(process)
        if swap_pages != ABSENT and abs(swap_pages - process.swap_pages) * SHARE >= max(swap_pages, 1):
            process.swap_pages = swap_pages
            candidates.tell_swap(process)
            told += 1
    return told


def _swap_pages(process: CandidateProcess) -> int:
    try:
        swap_kb = read_swap_kb(process.pid)
        # The pidfd is older than the read: alive now means that the read was of the same process.
        return swap_kb // PAGE_KB if pidfd_send_signal(process.pidfd, 0) == 0 else ABSENT
    except (OSError, ValueError):
        return ABSENT

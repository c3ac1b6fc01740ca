"""What candidates have in swap. The killer cannot know: statm leaves it out, and no file that tells it can be pinned.

Looked at while memory is short; a kill that frees nothing is told from one that frees swap.
"""

from __future__ import annotations

from time import monotonic

from ....core.vocabulary import ABSENT
from ....kernel.acting.process import read_swap_kb
from ....kernel.acting.syscalls import pidfd_send_signal
from ....kernel.sensing.domain.base import PAGE_KB, Domain
from ..pool import look
from .candidates import CandidateProcess, Candidates

LOOKED_AT = 32  # the most expendable; each costs the steward a file to open
SHARE = 8  # a size that changed by less than an eighth is not told again
GAP_S = 1.0  # between two looks, at least
COST = 40  # and so many times as long as the last one took


class SwapSizes:
    """Looks again when it is time to; what that costs is taken from those who wait for memory."""

    def __init__(self) -> None:
        self._due_s = 0.0

    def tend(self, candidates: Candidates, domain: Domain) -> None:
        """Memory is short: tell the killer, if it is time to."""
        began_s = monotonic()
        if began_s >= self._due_s:
            tell(candidates, look(domain).swap_total_kb)
            now_s = monotonic()
            self._due_s = now_s + max(GAP_S, COST * (now_s - began_s))


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

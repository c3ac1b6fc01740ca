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
GAP_S, LONGEST_S = 1.0, 5.0  # between two looks, at least and at most
COST = 40  # and so many times as long as the last one took


class SwapSizes:
    """Looks again when it is time to; what that costs is taken from those who wait for memory."""

    def __init__(self) -> None:
        self._due_s = 0.0
        self._told = 0  # pid of the killer that was told

    def tend(self, candidates: Candidates, domain: Domain, killer_pid: int) -> None:
        """Memory is short: tell the killer, if it is time to or it is another one, which knows no sizes yet."""
        began_s = monotonic()
        if began_s >= self._due_s or killer_pid != self._told:
            tell(candidates, look(domain).swap_total_kb)
            self._told, now_s = killer_pid, monotonic()
            self._due_s = now_s + min(max(GAP_S, COST * (now_s - began_s)), LONGEST_S)


def tell(candidates: Candidates, swap_total_kb: int) -> int:
    """Tell the killer what the most expendable have in swap, where there is any; how many sizes were told."""
    if swap_total_kb <= 0:
        return 0
    return sum(tell_one(candidates, process) for process in candidates.most_expendable(LOOKED_AT, 0))


def tell_one(candidates: Candidates, process: CandidateProcess) -> bool:
    """Tell the killer what this one has in swap, if that is new."""
    swap_pages = _swap_pages(process)
    if swap_pages == ABSENT or abs(swap_pages - process.swap_pages) * SHARE < max(swap_pages, 1):
        return False
    process.swap_pages = swap_pages
    candidates.tell_swap(process)
    return True


def _swap_pages(process: CandidateProcess) -> int:
    try:
        swap_kb = read_swap_kb(process.pid)
        # The pidfd is older than the read: alive now means that the read was of the same process.
        return swap_kb // PAGE_KB if pidfd_send_signal(process.pidfd, 0) == 0 else ABSENT
    except (OSError, ValueError):
        return ABSENT

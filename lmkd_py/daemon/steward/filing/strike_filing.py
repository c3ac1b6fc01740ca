"""What the kernel struck goes into the trace, each strike once, whichever steward finds it.

The program's own map says how many are filed, and stays in the kernel when we die: it is told after they are in the
file. A steward that is killed between the two leaves strikes that are filed and not said to be; its successor finds
them in the end of the last files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ....kernel.bpf import abandoned, parent_of
from ....kernel.bpf.layout import FILED, STRIKES
from ....wire.frames import STRIKE, Frame, read_frames
from ....wire.header import decode_strike
from ....wire.message import MessageError
from .kernel_log import EVENTS, Filing, own_pins

if TYPE_CHECKING:
    from ..candidates.candidates import Candidates
    from ..killers.kernel_strike import KernelStrike
    from .journal import Journal

TAIL_BYTES = 1 << 20  # more than a steward files between a strike and saying so


class StrikeFiling:
    """Files the strikes of the program in use, and of loads that are over: of dead stewards, or before a reload.

    Loads that are over stay in the kernel, disarmed, until their strikes are filed.
    """

    def __init__(self, root: str, journal: Journal) -> None:
        self.root = root
        self.journal = journal
        self._over: list[Filing] = []
        self._known: set[tuple[int, int, int, int]] = set()  # keys of what dead stewards have filed

    def has_over(self) -> bool:
        """Whether there is anything of dead stewards in the kernel."""
        try:
            return not all(name.endswith(EVENTS) for name in os.listdir(parent_of(self.root)))
        except OSError:
            return False

    def find_over(self) -> None:
        """Disarm what dead stewards of this root have left in the kernel, and file what it struck."""
        known = [filing.name for filing in self._over if filing.name]
        for load in abandoned(parent_of(self.root), (own_pins(), *known)):
            filing = Filing(load.words, load.log, load.killer_pid, load.remove, os.path.basename(load.pin_dir))
            if load.words[STRIKES] > load.words[FILED] and not self._known:
                self._known = self._filed_before()
            self._over.append(filing)
        self.file(None)

    def retire(self, kernel_strike: KernelStrike) -> None:
        """Let go of what this one replaces, once that is filed. Nobody may heed the kicks of that one any more."""
        former = kernel_strike.replaces
        if former is None:
            return
        self.retire(former)
        former.disarm()
        if former.filing is None:
            former.stand_down()
        elif former.filing not in self._over:
            self._over.append(former.filing)
        kernel_strike.replaces = None
        self.file(None)

    def tend(self, kernel_strike: KernelStrike, candidates: Candidates | None) -> float:
        """List candidates anew where that is due, file what was struck; seconds until more is to do, or -1.

        None: they may be half changed, or another domain's. The list stays as it is.
        """
        listed_in = kernel_strike.keep(candidates, self.journal) if candidates is not None else -1.0
        self.file(kernel_strike)
        return listed_in

    def file(self, kernel_strike: KernelStrike | None) -> None:
        """File what is new; let go of loads that are over and have nothing left to file."""
        if kernel_strike is not None and kernel_strike.filing is not None:
            kernel_strike.filing.file(self.journal, set())
        for filing in [each for each in self._over if each.file(self.journal, self._known)]:
            filing.remove()
            self._over.remove(filing)

    def finish(self, kernel_strike: KernelStrike) -> None:
        """A clean stop: nothing is left in the kernel."""
        self.retire(kernel_strike)
        self.file(kernel_strike)
        for filing in (*self._over, *((kernel_strike.filing,) if kernel_strike.filing is not None else ())):
            filing.give_up(self.journal)
        for filing in self._over:
            filing.remove()
        self._over.clear()
        kernel_strike.stand_down()

    def _filed_before(self) -> set[tuple[int, int, int, int]]:
        try:
            tails = self.journal.trace.place.tails(TAIL_BYTES, self.journal.trace.path)
        except OSError:
            return set()  # then twice rather than never: readers drop what has the same key
        keys = set()
        for tail in tails:
            for frame in read_frames(tail):
                if isinstance(frame, Frame) and frame.kind == STRIKE:
                    try:
                        keys.add(decode_strike(frame.payload).key)
                    except MessageError:
                        continue
        return keys

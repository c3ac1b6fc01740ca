"""What the kernel struck goes into the trace, each strike once, whichever steward finds it.

The program's own map says how many are filed, and stays in the kernel when we die: it is told after they are in the
file. A steward that is killed between the two leaves strikes that are filed and not said to be; its successor finds
them in the end of the last files.
"""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Callable

from ....core.vocabulary import ABSENT
from ....kernel.acting.process import read_stat
from ....kernel.bpf import LoggedStrike, abandoned, parent_of, strikes_in
from ....kernel.bpf.layout import FILED, RSS_UNKNOWN, START_UNKNOWN, STRIKES
from ....wire.frames import STRIKE, Frame, read_frames
from ....wire.header import Strike, decode_strike
from ....wire.message import MessageError

if TYPE_CHECKING:
    from ..candidates.candidates import Candidates
    from ..killers.kernel_strike import KernelStrike
    from .journal import Journal

EVENTS = "events"  # how a name ends where process events are pinned, and no strikes
TAIL_BYTES = 1 << 20  # more than a steward files between a strike and saying so


def own_pins() -> str:
    """How the names of our loads begin: no other process of this boot had both numbers."""
    return f"{os.getpid()}-{read_stat(os.getpid()).start_ticks}-"


class Filing:
    """The strikes of one program: `words` and `log` are its maps, `remove` lets go of it, `name` it is pinned under."""

    def __init__(
        self, words: memoryview, log: mmap.mmap, killer_pid: int, remove: Callable[[], None], name: str = ""
    ) -> None:
        self.name = name
        self.words = words
        self.log = log
        self.killer_pid = killer_pid
        self.remove = remove
        self._taken = words[FILED]

    def file(self, journal: Journal, known: set[tuple[int, int, int, int]]) -> bool:
        """Bring what is new into the trace, but for those whose key is `known`; True once all of it is there."""
        words = self.words
        end = words[STRIKES]
        if self._taken < end:
            found = strikes_in(words, self.log, self._taken)
            missed = found[0].number - self._taken
            if missed:
                journal.lose(missed, "strikes in the kernel were overwritten before they were filed")
                self._taken += missed
            for strike in (_strike(each, self.killer_pid) for each in found):
                if strike.key not in known and not journal.file_strike(strike):
                    break
                self._taken = strike.number + 1
        if words[FILED] < self._taken and not journal.trace.late:
            words[FILED] = self._taken
        return words[FILED] == end

    def give_up(self, journal: Journal) -> None:
        """The end: what is not filed never will be."""
        left = self.words[STRIKES] - self._taken
        if left > 0:
            journal.lose(left, "strikes in the kernel found no place on the disk")


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
            self._over.remove(filing)
            filing.remove()

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


def _strike(found: LoggedStrike, killer_pid: int) -> Strike:
    start_ticks = ABSENT if found.start_ticks == START_UNKNOWN else found.start_ticks
    rss_pages = ABSENT if found.rss_pages == RSS_UNKNOWN else found.rss_pages
    return Strike(
        found.at_ns, found.kick_ns, found.pid, start_ticks, found.adj, rss_pages, number=found.number,
        killer_pid=killer_pid,
    )  # fmt: skip

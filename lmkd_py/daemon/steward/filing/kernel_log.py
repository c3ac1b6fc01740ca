"""The strikes that one program in the kernel has logged, on their way into the trace; how its pins are named."""

from __future__ import annotations

import mmap
import os
from typing import TYPE_CHECKING, Callable

from ....core.vocabulary import ABSENT
from ....kernel.acting.process import read_stat
from ....kernel.bpf import LoggedStrike, strikes_in
from ....kernel.bpf.layout import FILED, RSS_UNKNOWN, START_UNKNOWN, STRIKES
from ....wire.header import Strike

if TYPE_CHECKING:
    from .journal import Journal

EVENTS = "events"  # how a name ends where process events are pinned, and no strikes


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


def _strike(found: LoggedStrike, killer_pid: int) -> Strike:
    start_ticks = ABSENT if found.start_ticks == START_UNKNOWN else found.start_ticks
    rss_pages = ABSENT if found.rss_pages == RSS_UNKNOWN else found.rss_pages
    return Strike(
        found.at_ns, found.kick_ns, found.pid, start_ticks, found.adj, rss_pages, number=found.number,
        killer_pid=killer_pid,
    )  # fmt: skip

"""Who the candidates are, as the trace tells it: an application has another name than the zygote it was forked from.

A name is written once a process has lived for a while, or when a record speaks of it. It is read again when memory is
short and right after a kill, while comm, uid and cgroup of the victim can still be read; its command line is gone by
then, so that the last one counts.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from ....kernel.acting.process import read_identity
from ..candidates.candidates import CandidateProcess

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..candidates.candidates import Candidates
    from ..candidates.discovery import Discovery

SETTLED_S = 5.0  # whoever has lived for so long is worth a line in the trace
MOST = 64  # of the most expendable are read again when memory is short
AGAIN_S = 10.0  # between two such readings


class Names:
    """`say` writes a process into the trace, unless that has been said."""

    def __init__(self, candidates: Candidates, say: Callable[[CandidateProcess], None]) -> None:
        self.candidates = candidates
        self.say = say
        self._young: dict[tuple[int, int], tuple[float, CandidateProcess]] = {}
        self._again_s = 0.0

    def take(self, discovery: Discovery) -> None:
        """Whoever is new or has another name; and write down who is due."""
        self.add(discovery.fresh)
        self.add(discovery.renamed, read=True)
        discovery.fresh.clear()
        discovery.renamed.clear()
        self.tend()

    def add(self, processes: list[CandidateProcess], read: bool = False) -> None:
        """They have just been registered, or (`read`) have just renamed themselves, and may not be done with it."""
        due = monotonic() + SETTLED_S
        for each in processes:
            if read:
                _read(each)
            key = each.pid, each.start_ticks
            self._young.pop(key, None)  # to the end: the order is that of the times
            self._young[key] = due, each

    def tend(self) -> None:
        """Write down who has lived for a while; forget who has not."""
        now = monotonic()
        settled = []
        for key, (due, process) in self._young.items():  # in the order of their ages
            if due > now:
                break
            settled.append((key, process))
        for key, process in settled:
            del self._young[key]
            if self.candidates.processes.get(process.pid) is process:
                self._write(process, True)

    def patience_s(self, other_s: float) -> float:
        """Seconds until tend() has something to do (below 0: never), or other_s if that is sooner."""
        for due, _ in self._young.values():
            wait = max(0.0, due - monotonic())
            return wait if other_s < 0 else min(wait, other_s)
        return other_s

    def settle(self) -> None:
        """Write down everybody who is alive: somebody else may have to explain what happens from here on."""
        for key, (_, process) in list(self._young.items()):
            if self.candidates.processes.get(process.pid) is process:
                self._write(process, True)
            self._young.pop(key, None)  # not before: where a shortage interrupts it, it is called again

    def tell(self, pid: int, start_ticks: int, again: bool) -> None:
        """A record speaks of it; `again`: as it was struck, who it was is read once more, as far as that goes."""
        young = self._young.pop((pid, start_ticks), None)
        known = young[1] if young is not None else self.candidates.processes.get(pid)
        if known is not None and known.start_ticks == start_ticks:
            self._write(known, again or not known.cgroup)
        elif again:
            self._write_unknown(pid, start_ticks)

    def read_again(self, everybody: bool = True) -> None:
        """Memory is short: who may be next is to be told by its present name, unless that was read just now.

        Not everybody: those alone of whom nothing is written yet.
        """
        self.settle()
        now_s = monotonic()
        if not everybody or now_s < self._again_s:
            return
        for process in self.candidates.most_expendable(MOST, 0):
            self._write(process, True)
        self._again_s = now_s + AGAIN_S

    def _write(self, process: CandidateProcess, read: bool) -> None:
        if read:
            _read(process)
        self.say(process)

    def _write_unknown(self, pid: int, start_ticks: int) -> None:
        # Buried already. The trace has what was known; only who lives still can add to it.
        process = CandidateProcess(pid, 0, 0, -1, start_ticks, "")
        _read(process)
        if process.cmdline:
            self.say(process)


def _read(process: CandidateProcess) -> None:
    try:
        found = read_identity(process.pid)
    except (OSError, ValueError):
        return  # it is gone, or memory is: what is known of it stays
    if found.start_ticks != process.start_ticks:
        return  # somebody else has its number
    process.name = found.comm.decode("utf-8", "replace")
    if found.cgroup != b"/" or not process.cgroup:  # what v1 shows of whoever is ending
        process.cgroup = found.cgroup.decode("utf-8", "replace")
    if found.cmdline:
        process.cmdline = found.cmdline.decode("utf-8", "replace")
    if not process.registered:  # else whoever registered it has said whose it is
        process.uid = found.uid

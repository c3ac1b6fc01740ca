"""A steward that pages out, with the test's own memory, clock and kernel; its candidates are real processes."""

from __future__ import annotations

import pytest

from lmkd_py.core.snapshot import Snapshot
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.daemon.steward import idle_memory, paging_out
from lmkd_py.daemon.steward.idle_memory import IdleMemory
from lmkd_py.kernel.acting import paging
from lmkd_py.kernel.acting.paging import size_of
from tests.core.values import make_snapshot
from tests.daemon.driver import Trace
from tests.daemon.rig import Rig

PLENTY_KB, SHORT_KB = 3_000_000, 200_000  # of 4 GB; 25 % are 1,000,000
BIG_KB = 1 << 20


class Bench:
    """`memory`: fields of the snapshot that a look gives; `errors`: what the kernel answers, by pid."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.part = rig.steward.paging_out
        self.now_s = 1000.0
        self.call_s = 0.0  # what one system call takes
        self.looks = 0
        self.memory: dict[str, int] = {"mem_free_kb": SHORT_KB}
        self.resident_kb: dict[int, int] = {}  # by pid; BIG_KB where it is not said
        self.calls: list[tuple[int, int]] = []  # pid and bytes of each call
        self.errors: dict[int, int] = {}  # by pid
        self.configure(page_out_pct=25)

    def take_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """From here on clock, memory and the kernel's answers are this bench's."""
        monkeypatch.setattr(paging_out, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(idle_memory, "monotonic", lambda: self.now_s)
        monkeypatch.setattr(paging_out, "look", self.look)
        monkeypatch.setattr(paging, "process_madvise", self.process_madvise)
        monkeypatch.setattr(IdleMemory, "_resident_kb", lambda memory: self.resident(memory))

    def configure(self, **monitor: int) -> None:
        steward = self.rig.steward
        steward.config = steward.config._replace(monitor=steward.config.monitor._replace(**monitor))  # type: ignore[arg-type]

    def look(self, _: object) -> Snapshot:
        self.looks += 1
        return make_snapshot(**{"active_file_kb": 0, "inactive_file_kb": 0, "cached_kb": 0, **self.memory})

    def process_madvise(self, pidfd: int, ranges: list[tuple[int, int]], advice: int) -> int:
        pids = {each.pidfd: pid for pid, each in self.rig.steward.candidates.processes.items()}
        self.now_s += self.call_s
        self.calls.append((pids[pidfd], size_of(ranges)))
        if self.errors.get(pids[pidfd]):
            raise OSError(self.errors[pids[pidfd]], "process_madvise")
        return size_of(ranges)

    def resident(self, memory: IdleMemory) -> int:
        return self.resident_kb.get(memory.process.pid, BIG_KB)

    def turn(self) -> None:
        """One turn of the loop as far as this part goes."""
        self.rig.steward.candidates.assign_sizes()
        self.rig.pair.carry()  # else the killer has not been told of everybody
        self.part.tend(self.rig.steward)

    def turns(self, limit: int = 5000) -> int:
        """Until nothing is due any more; how many it took."""
        for count in range(limit):
            self.turn()
            wait_s = self.part.wait_s()
            if wait_s < 0:
                return count
            self.now_s += wait_s
        raise AssertionError("it never comes to rest")

    def paged(self) -> list[int]:
        """The adj of all who were paged out, in order."""
        return list(dict.fromkeys(self.rig.adjs[pid] for pid, _ in self.calls))

    def pid_of(self, adj: int) -> int:
        return next(pid for pid, one in self.rig.adjs.items() if one == adj)

    def notes(self) -> list[tuple[str, int, int]]:
        kinds = (NoteKind.PAGED_OUT, NoteKind.PAGE_OUT_REFUSED)
        found = [note for note in Trace(self.rig.root).notes if note.kind in kinds]
        return [(note.kind, note.number, note.errno) for note in found]

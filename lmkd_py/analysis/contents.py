"""What a trace holds, as values. `trace.read_trace` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

from ..core.vocabulary import ABSENT, NoteKind
from ..wire.header import LOST, MEMBERSHIP, OOM_KILLS, Header, Note, Process, Strike
from ..wire.sentences import sentence
from .clock import Clock, clock_of
from .names import names_of
from .records import Records, Selection

AROUND_MS = 30_000  # a note of what was paged out comes at the end of an episode


@dataclass(frozen=True, slots=True)
class Loss:
    """A stretch of a trace file that holds no whole frame."""

    file: Path
    offset: int
    length: int
    why: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Records that a killer wrote and the trace does not have: those between two it has."""

    killer_pid: int
    after_seq: int
    before_seq: int

    @property
    def count(self) -> int:
        """How many records of this killer are missing."""
        return self.before_seq - self.after_seq - 1


@dataclass(frozen=True)
class Trace:
    """Everything one or several files of one boot hold, in the order it was written."""

    files: tuple[Path, ...]
    headers: tuple[Header, ...]
    records: Records  # every wakeup; decoded when asked for, or taken as columns
    kills: Selection  # the records in which somebody was struck (or would have been, in observe mode)
    processes: dict[tuple[int, int], Process]  # by pid and start_ticks
    notes: tuple[Note, ...]
    losses: tuple[Loss, ...]
    gaps: tuple[Gap, ...]
    repeated: int  # records found twice, as after a steward's death between filing and counting; kept once
    strikes: tuple[Strike, ...] = ()  # kills by the kernel's own hand, in the order of their time

    @cached_property
    def all_kills(self) -> tuple[int | Strike, ...]:
        """Every kill in the order of time: the index of a record, or a strike in the kernel."""
        timed: list[tuple[int, int | Strike]] = []
        timed += ((kill.peek("snapshot.now_ms") * 1_000_000, kill.index) for kill in self.kills)
        timed += ((strike.monotonic_ns, strike) for strike in self.strikes)
        return tuple(kill for _, kill in sorted(timed, key=lambda each: each[0]))

    @property
    def victims(self) -> tuple[tuple[int, int], ...]:
        """(pid, adj) of everybody who was killed, in the order of time."""
        return tuple(
            (kill.pid, kill.adj)
            if isinstance(kill, Strike)
            else (self.records[kill].peek("outcome.pid"), self.records[kill].peek("outcome.adj"))
            for kill in self.all_kills
        )

    @property
    def undeclared(self) -> int:
        """Records that are missing and that no note declares lost. The killer declares the polls it left out."""
        declared = sum(note.number for note in self.notes if note.kind == LOST)
        return max(0, sum(gap.count for gap in self.gaps) - declared)

    @property
    def oom_kills(self) -> int:
        """Kills by the kernel's own OOM killer in the guarded memory while the daemon ran; ABSENT: not counted."""
        counts = [note.number for note in self.notes if note.kind == OOM_KILLS]
        if not counts or ABSENT in counts:
            return ABSENT
        # Another domain may begin with a lower count.
        return sum(max(0, later - before) for before, later in pairwise(counts))

    @cached_property
    def clock(self) -> Clock:
        """Dates its times by the calendar."""
        return clock_of(self.headers, self.notes)

    def name_of(self, pid: int, start_ticks: int) -> str:
        """Name of a process; empty if the trace does not say."""
        return self.names_of(pid, start_ticks)[0]

    def names_of(self, pid: int, start_ticks: int) -> tuple[str, str]:
        """The same, and its comm where that is another one."""
        process = self.processes.get((pid, start_ticks))
        return names_of(process) if process else ("", "")

    def members_age_ms(self, struck_ns: int) -> int:
        """Age of the list of members that the victim of this strike was on; ABSENT: the kernel tells who moves.

        `struck_ns`: CLOCK_MONOTONIC.
        """
        return self._members_age_ms.get(struck_ns, ABSENT)

    def paged_out(self, at_ms: int) -> tuple[tuple[int, str], ...]:
        """Notes of what was paged out around that time (CLOCK_MONOTONIC): how many ms later, and in words."""
        timed = ((note.monotonic_ns // 1_000_000 - at_ms, note) for note in self._paged_out)
        return tuple((later_ms, sentence(note)) for later_ms, note in timed if abs(later_ms) <= AROUND_MS)

    @cached_property
    def _paged_out(self) -> tuple[Note, ...]:
        return tuple(note for note in self.notes if note.kind == NoteKind.PAGED_OUT)

    @cached_property
    def _members_age_ms(self) -> dict[int, int]:
        # Backwards: of two notes about one strike the first counts.
        return {note.monotonic_ns: note.number for note in reversed(self.notes) if note.kind == MEMBERSHIP}

    def last_header_of(self, killer_pid: int) -> Header | None:
        """The last header of this killer; None if it has none."""
        return self._last_headers.get(killer_pid)

    @cached_property
    def _last_headers(self) -> dict[int, Header]:
        return {header.killer_pid: header for header in self.headers}

    def processes_of(self, pid: int) -> list[Process]:
        """Processes that had this pid, in the order of the trace: the kernel uses pids again."""
        return self._by_pid.get(pid, [])

    @cached_property
    def _by_pid(self) -> dict[int, list[Process]]:
        found: dict[int, list[Process]] = {}
        for process in self.processes.values():
            found.setdefault(process.pid, []).append(process)
        return found

"""What a trace holds, as values. `trace.read_trace` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ..core.config import Config
from ..core.vocabulary import ABSENT
from ..wire.header import OOM_KILLS, Header, Note, Process, Strike
from ..wire.record import Record, unpack_record


@dataclass(frozen=True, slots=True)
class Traced:
    """One record and where it is from. It is unpacked anew at each access: a long trace fits into memory packed."""

    data: bytes
    file: Path
    offset: int  # of its frame
    seq: int
    killer_pid: int
    killed: bool  # somebody was struck, or would have been
    header: Header | None  # of its killer and config generation; None where that header is lost
    config: Config | None  # None: the header is lost or holds no config

    @property
    def record(self) -> Record:
        """The record itself."""
        return unpack_record(self.data)


@dataclass(frozen=True, slots=True)
class Loss:
    """Bytes of a file that could not be read."""

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
        """How many are missing."""
        return self.before_seq - self.after_seq - 1


@dataclass(frozen=True, slots=True)
class Trace:
    """Everything one or several files of one boot hold, in the order it was written."""

    files: tuple[Path, ...]
    headers: tuple[Header, ...]
    records: tuple[Traced, ...]
    processes: dict[tuple[int, int], Process]  # by pid and start_ticks
    notes: tuple[Note, ...]
    losses: tuple[Loss, ...]
    gaps: tuple[Gap, ...]
    repeated: int  # records found twice, as after a steward's death between filing and counting; kept once
    strikes: tuple[Strike, ...] = ()  # kills by the kernel's own hand, in the order of their time

    @property
    def kills(self) -> tuple[int, ...]:
        """Indexes of the records in which somebody was struck (or would have been, in observe mode)."""
        return tuple(index for index, traced in enumerate(self.records) if traced.killed)

    @property
    def all_kills(self) -> tuple[int | Strike, ...]:
        """Every kill in the order of time: the index of a record, or a strike in the kernel."""
        timed: list[tuple[int, int | Strike]] = []
        timed += ((self.records[index].record.snapshot.now_ms * 1_000_000, index) for index in self.kills)
        timed += ((strike.monotonic_ns, strike) for strike in self.strikes)
        return tuple(kill for _, kill in sorted(timed, key=lambda each: each[0]))

    @property
    def victims(self) -> tuple[tuple[int, int], ...]:
        """(pid, adj) of everybody who was killed, in the order of time."""
        outcomes = (self.records[kill].record.outcome if isinstance(kill, int) else kill for kill in self.all_kills)
        return tuple((each.pid, each.adj) for each in outcomes)

    @property
    def oom_kills(self) -> int:
        """Kills by the kernel's own OOM killer in the guarded memory while the daemon ran; ABSENT: not counted."""
        counts = [note.number for note in self.notes if note.kind == OOM_KILLS]
        if not counts or ABSENT in counts:
            return ABSENT
        # Another domain may begin with a lower count.
        return sum(max(0, later - before) for before, later in pairwise(counts))

    def name_of(self, pid: int, start_ticks: int) -> str:
        """Name of a process; empty if the trace does not say."""
        process = self.processes.get((pid, start_ticks))
        return process.name if process else ""

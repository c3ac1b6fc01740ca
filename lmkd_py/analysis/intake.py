"""What the frames of a trace say, taken in one by one, in the order they were written."""

from __future__ import annotations

from ..core.config import Config, ConfigError
from ..wire import frames
from ..wire.config import decode_config
from ..wire.header import (
    FORMAT,
    Header,
    Note,
    Process,
    Strike,
    decode_header,
    decode_note,
    decode_process,
    decode_strike,
)
from ..wire.message import MessageError
from ..wire.record import is_short
from .contents import Gap
from .packed import check, number
from .runs import Run

# The longest ring a killer may have (core.config, ring_slots): no more records than that can be filed twice.
REPEATED_WITHIN = 65_536


class Intake:
    """Everything but the records themselves, of which it keeps where they lie. It only ever grows."""

    def __init__(self) -> None:
        self.headers: list[Header] = []
        self.configs: list[Config | None] = []  # of each header
        self.runs: list[Run] = []
        self.records = 0
        self.kills: list[int] = []  # indexes of records
        self.processes: dict[tuple[int, int], Process] = {}
        self.notes: list[Note] = []
        # By their keys: one may be filed twice, as by a steward and its successor.
        self.strikes: dict[tuple[int, int, int, int], Strike] = {}
        self.gaps: list[Gap] = []
        self.repeated = 0
        self._last: dict[int, int] = {}  # seq by killer
        self._recent, self._former = set[int](), set[int]()  # hashes of the last records

    def is_empty(self) -> bool:
        """Nothing was taken in."""
        return not (self.headers or self.runs or self.notes or self.processes or self.strikes)

    def take(self, frame: frames.Frame, file: int) -> None:
        """Take in a frame of the trace's n-th file.

        MessageError, RecordError: it says nothing that this reader knows.
        """
        if frame.kind == frames.RECORD:
            self._record(frame, file)
        elif frame.kind == frames.HEADER:
            header = decode_header(frame.payload)
            if header.format != FORMAT:
                raise MessageError("Header.format", header.format, f"{FORMAT}, or a newer lmkctl")
            self.headers.append(header)
            self.configs.append(_config_of(header))
        elif frame.kind == frames.PROCESS:
            process = decode_process(frame.payload)
            self.processes[process.pid, process.start_ticks] = process
        elif frame.kind == frames.NOTE:
            self.notes.append(decode_note(frame.payload))
        elif frame.kind == frames.STRIKE:
            strike = decode_strike(frame.payload)
            if strike.killer_pid or strike.key not in self.strikes:
                self.strikes[strike.key] = strike
        else:
            raise MessageError("frame", f"kind {frame.kind}", "kinds 1 to 5, or a newer lmkctl")

    def _record(self, frame: frames.Frame, file: int) -> None:
        data = frame.payload
        check(data)
        if self._is_repeated(data):
            self.repeated += 1
            return
        seq, killer_pid, generation = (number(name, data) for name in ("seq", "killer_pid", "config_generation"))
        before = self._last.get(killer_pid, seq)
        if seq > before + 1:
            self.gaps.append(Gap(killer_pid, before, seq))
        self._last[killer_pid] = seq
        if number("outcome.pid", data) > 0:
            self.kills.append(self.records)
        run, short = self.runs[-1] if self.runs else None, is_short(data)
        if run is not None and run.goes_on(file, frame.offset, seq, killer_pid, generation, short):
            self.runs[-1] = run._replace(length=run.length + 1)
        else:
            place = (self.records, 1, file, frame.offset, seq, killer_pid, generation, len(self.headers), short)
            self.runs.append(Run(*place))
        self.records += 1

    def _is_repeated(self, data: bytes) -> bool:
        """Whether the same record was taken in already, not long ago; it is remembered.

        A steward that dies between filing a batch and counting it leaves the whole batch to its successor, which files
        it again. Another killer may get the same pid: its records differ.
        """
        known = hash(data)
        if known in self._recent or known in self._former:
            return True
        self._recent.add(known)
        if len(self._recent) == REPEATED_WITHIN:
            self._recent, self._former = set(), self._recent
        return False


def _config_of(header: Header) -> Config | None:
    try:
        return decode_config(header.config, may_lack_format=True)  # the frame's checksum vouches for it
    except ConfigError:
        return None

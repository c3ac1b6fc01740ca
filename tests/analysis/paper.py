"""A killer on paper: it decides synthetic wakeups with the real policy and files them as the real one does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmkd_py.core.config import Config
from lmkd_py.core.decide import conclude, judge
from lmkd_py.core.snapshot import NO_OUTCOME, Candidate, Outcome
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import ABSENT, Action, Level, ProgressSource, WakeupKind
from lmkd_py.wire.config import config_hash, encode_config
from lmkd_py.wire.frames import HEADER, NOTE, PROCESS, RECORD, STRIKE, frame_bytes
from lmkd_py.wire.header import (
    ArmedTrigger,
    Header,
    Layer,
    Note,
    Process,
    Strike,
    encode_header,
    encode_note,
    encode_process,
    encode_strike,
)
from lmkd_py.wire.record import (
    CANDIDATE_ROWS,
    NO_AFTERMATH,
    RECORD_SIZE,
    Aftermath,
    Record,
    Timings,
    pack_record_into,
)
from tests.core.values import make_snapshot

TRIGGERS = (
    ArmedTrigger("psi some", "70 ms in 1000 ms"),
    ArmedTrigger("psi full", "700 ms in 1000 ms"),
    ArmedTrigger("vmpressure critical", "local on /"),
)


def packed(record: Record) -> bytes:
    buffer = bytearray(RECORD_SIZE)
    pack_record_into(buffer, 0, record)
    return bytes(buffer)


def header(config: Config, killer_pid: int = 500, generation: int = 1, **changes: Any) -> Header:
    """A header as a steward would write it."""
    encoded = encode_config(config)
    return Header(
        board="paper",
        kernel="6.1.0",
        machine="aarch64",
        page_size_bytes=4096,
        ram_kb=4_000_000,
        boot_id="5f1c2a9e-0000-4000-8000-000000000000",
        start_monotonic_ns=900_000_000_000,
        start_realtime_ns=1_700_000_000_000_000_000,
        clk_tck=100,
        steward_pid=499,
        killer_pid=killer_pid,
        config=encoded,
        config_hash=config_hash(encoded),
        config_generation=generation,
        layers=(Layer(0, 1), Layer(1, 0, (Note(kind="sched-fifo-refused", number=10, layer=1, errno=1),))),
        triggers=TRIGGERS,
        domain="the whole system",
        progress_source=int(ProgressSource.VMSTAT),
    )._replace(**changes)


class PaperKiller:
    """`wakeup` decides, strikes the first victim (or fails to) and returns the record."""

    def __init__(self, config: Config | None = None, pid: int = 500, generation: int = 1) -> None:
        self.config = config or Config()
        self.pid = pid
        self.generation = generation
        self.seq = 0
        self.now_ms = 1_000_000
        self.state = INITIAL
        self.outcome = NO_OUTCOME
        self.candidates: tuple[Candidate, ...] = ()

    def wakeup(
        self,
        after_ms: int = 100,
        fail: tuple[int, ...] = (),
        aftermath: Aftermath = NO_AFTERMATH,
        observe: int = 0,
        trigger: int = ABSENT,
        **counters: Any,
    ) -> Record:
        """One evaluation `after_ms` later. `fail`: pids whose strike fails with ESRCH."""
        self.now_ms += after_ms
        snapshot = make_snapshot(now_ms=self.now_ms, outcome=self.outcome, **counters)
        judgement = judge(snapshot, self.state, self.config.policy)
        considered: tuple[Candidate, ...] = ()
        outcome, looked_at = NO_OUTCOME, 0
        if judgement.action == Action.KILL:
            considered = conclude(judgement, self.candidates, self.config.policy).victims
            looked_at = len(self.candidates)
            for attempts, victim in enumerate(considered, 1):
                if victim.pid in fail:
                    outcome = Outcome(0, 0, ABSENT, self.now_ms, -3, attempts)
                    continue
                outcome = Outcome(victim.pid, victim.adj, victim.rss_pages, self.now_ms, 0, attempts)
                break
            gone = {*fail, 0 if observe else outcome.pid}
            self.candidates = tuple(one for one in self.candidates if one.pid not in gone)
        record = Record(
            seq=self.seq,
            trigger=trigger,
            observe=observe,
            layers=0b1,
            config_generation=self.generation,
            candidates_considered=looked_at,
            snapshot=snapshot._replace(candidates=considered[:CANDIDATE_ROWS]),
            state=self.state,
            judgement=judgement,
            outcome=outcome,
            aftermath=aftermath,
            timings=Timings(self.now_ms * 1_000_000, 11_000, 70_000, 41_500, 12_000, 9_500),
            killer_pid=self.pid,
        )
        self.seq += 1
        self.state = judgement.state
        self.outcome = outcome
        return record


# Counters of a machine in trouble: an event of the medium trigger, low memory, kswapd at work.
LOW_MEM: dict[str, Any] = {"kind": WakeupKind.EVENT, "level": Level.MEDIUM, "mem_free_kb": 30_000, "trigger": 0}


Part = Record | Header | Process | Note | Strike | bytes


def frame(part: Part) -> bytes:
    """The frame of any part of a trace; bytes stand for themselves."""
    if isinstance(part, bytes):
        return part
    if isinstance(part, Record):
        return frame_bytes(RECORD, packed(part))
    if isinstance(part, Header):
        return frame_bytes(HEADER, encode_header(part))
    if isinstance(part, Process):
        return frame_bytes(PROCESS, encode_process(part))
    if isinstance(part, Strike):
        return frame_bytes(STRIKE, encode_strike(part))
    return frame_bytes(NOTE, encode_note(part))


def write(path: Path, *parts: Part) -> Path:
    path.write_bytes(b"".join(frame(part) for part in parts))
    return path

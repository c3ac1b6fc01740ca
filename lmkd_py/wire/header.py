"""What a trace says beside its records: on what it was made, who the pids are, what happened to the daemon."""

from __future__ import annotations

from typing import NamedTuple

from ..core.notes import ArmedTrigger as ArmedTrigger
from ..core.notes import Note as Note  # one of the messages of a trace
from ..core.vocabulary import KillReason, NoteKind
from .frames import FORMAT as FORMAT
from .message import Message

MEMBERSHIP, LOST, OOM_KILLS = NoteKind.MEMBERSHIP, NoteKind.LOST, NoteKind.OOM_KILLS  # what readers count


class Layer(NamedTuple):
    """A layer of the memory guarantee: number, active or not, and what there is to know of it."""

    number: int = 0
    active: int = 0
    notes: tuple[Note, ...] = ()  # why not, or how


class Header(NamedTuple):
    """First in every file and again when something of it changes: another killer, a reload."""

    format: int = FORMAT
    board: str = ""
    kernel: str = ""
    machine: str = ""
    page_size_bytes: int = 0
    ram_kb: int = 0
    boot_id: str = ""
    start_monotonic_ns: int = 0  # one instant on two clocks
    start_realtime_ns: int = 0
    clk_tck: int = 0
    daemon_version: str = ""
    python_version: str = ""
    steward_pid: int = 0
    killer_pid: int = 0
    config: bytes = b""  # wire.config.encode_config
    config_hash: str = ""  # wire.config.config_hash
    config_generation: int = 0
    layers: tuple[Layer, ...] = ()
    triggers: tuple[ArmedTrigger, ...] = ()  # in effect; Record.trigger is an index into them
    domain: str = ""
    domain_kind: int = 0  # DomainKind that is guarded: what AUTO of the config stands for
    progress_source: int = 0  # ProgressSource: what the snapshots' fields of reclaim progress count
    notes: tuple[Note, ...] = ()  # of no layer: what the killer goes without, and what protects it


class Process(NamedTuple):
    """Who a pid is; stands before the first record that names it, and again when it is found under another name."""

    pid: int = 0
    start_ticks: int = 0
    uid: int = 0
    name: str = ""  # comm, at most 15 bytes
    cmdline: str = ""  # its first argument; on Android the package
    cgroup: str = ""


class Strike(NamedTuple):
    """A kill by the kernel's own hand, in the stead of a killer that did not answer."""

    monotonic_ns: int = 0
    kick_ns: int = 0  # the kick that stayed unanswered
    pid: int = 0
    start_ticks: int = 0
    adj: int = 0
    rss_pages: int = -1  # -1: unknown
    reason: int = int(KillReason.IN_KERNEL_STRIKE)
    number: int = 0  # counts the strikes of one loaded program from 0
    killer_pid: int = 0  # 0: whoever read it back did not know; no part of what tells strikes apart

    @property
    def key(self) -> tuple[int, int, int, int]:
        """One for each strike of a boot, whoever filed it and however often."""
        return self.monotonic_ns, self.number, self.pid, self.start_ticks


_NOTE = Message(Note)
_HEADER = Message(Header, layers=Message(Layer, notes=_NOTE), triggers=ArmedTrigger, notes=_NOTE)
_PROCESS = Message(Process)
_STRIKE = Message(Strike)


def encode_header(header: Header) -> bytes:
    """Payload of a HEADER frame."""
    return _HEADER.encode(header)


def decode_header(data: bytes) -> Header:
    """MessageError for anything else; fields of a newer format are skipped."""
    header: Header = _HEADER.decode(data)
    return header


def encode_process(process: Process) -> bytes:
    """Payload of a PROCESS frame."""
    return _PROCESS.encode(process)


def decode_process(data: bytes) -> Process:
    """A PROCESS payload. Raises MessageError."""
    process: Process = _PROCESS.decode(data)
    return process


def encode_note(note: Note) -> bytes:
    """Payload of a NOTE frame."""
    return _NOTE.encode(note)


def decode_note(data: bytes) -> Note:
    """A NOTE payload. Raises MessageError."""
    note: Note = _NOTE.decode(data)
    return note


def encode_strike(strike: Strike) -> bytes:
    """Payload of a STRIKE frame."""
    return _STRIKE.encode(strike)


def decode_strike(data: bytes) -> Strike:
    """A STRIKE payload. Raises MessageError."""
    strike: Strike = _STRIKE.decode(data)
    return strike

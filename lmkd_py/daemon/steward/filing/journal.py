"""What is written into the trace: headers, the killers' records, who the pids are, what happened to the daemon."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, NamedTuple

from .... import __version__
from ....core.config import Config
from ....core.notes import ArmedTrigger, Note
from ....core.vocabulary import ABSENT, NoteKind
from ....kernel.sensing.clock_steps import ClockSteps, both_clocks
from ....kernel.sensing.domain import Domain
from ....wire.config import config_hash, encode_config
from ....wire.header import (
    Header,
    Layer,
    Process,
    Strike,
    encode_header,
    encode_note,
    encode_process,
    encode_strike,
)
from ....wire.peek import peek
from ....wire.record import RecordError, shortened, unpack_record
from ....wire.sentences import LAYER_NAMES
from ... import shared as layout
from ...inherited import say
from ..candidates.candidates import CandidateProcess, Candidates
from ..killers.keeper import Killer
from .holds import Holds
from .names import Names
from .trace_file import TraceFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..event_loop import EventLoop

NO_BOOT_ID = "00000000-0000-0000-0000-000000000000"  # where the kernel does not tell
TEXT_CHARACTERS = 4000  # of a note at most


class Begun(NamedTuple):
    """Of the header that is in force: what the status reply says of it, and its bytes."""

    config_hash: str
    triggers: tuple[ArmedTrigger, ...]
    header: bytes


class Journal:
    """Files everything that a reader needs to re-decide and explain each wakeup."""

    def __init__(self, root: str, candidates: Candidates) -> None:
        self.candidates = candidates
        self.boot_id = _line("/proc/sys/kernel/random/boot_id") or NO_BOOT_ID
        self.trace = TraceFile(root, self.boot_id)
        self.names = Names(candidates, self.name)
        self.members_age_ms: Callable[[int], int] = lambda _: ABSENT  # see CandidateEvents
        self.holds = Holds()
        self.kills = 0
        self._lost = 0  # records and strikes, before they came to the trace
        self._said_refused = False
        self._undeclared: dict[str, int] = {}  # of them, by the reason: the trace has no note of it yet
        self.triggers: tuple[ArmedTrigger, ...] = ()
        self.config_hash = ""
        self.begun = Begun("", (), b"")
        self._oom_kills = (0, 0)  # domain and count as last noted
        self.clock = ClockSteps()

    @property
    def lost(self) -> int:
        """Records and strikes that no trace has."""
        return self._lost + self.trace.lost

    def lose(self, count: int, why: str) -> None:
        """So many records or strikes will never be filed: counted now, noted as soon as the trace takes a note."""
        self._lost += count
        self._undeclared[why] = self._undeclared.get(why, 0) + count
        self.declare()

    def declare(self) -> None:
        """Note what was lost, if the trace takes notes again."""
        while self._undeclared and not self.trace.refusal:
            why = next(iter(self._undeclared))
            if not self.note(NoteKind.LOST, why, self._undeclared[why]):
                return
            del self._undeclared[why]

    def begin(self, config: Config, generation: int, killer: Killer, domain: Domain) -> None:
        """Write a header: at start, for another killer and after a reload."""
        report = killer.report
        encoded = encode_config(config)
        self.config_hash = config_hash(encoded)
        self.triggers = report.triggers
        uname = os.uname()
        monotonic_ns, realtime_ns = both_clocks()
        header = Header(
            board=uname.nodename,
            kernel=uname.release,
            machine=uname.machine,
            page_size_bytes=os.sysconf("SC_PAGE_SIZE"),
            ram_kb=os.sysconf("SC_PHYS_PAGES") * (os.sysconf("SC_PAGE_SIZE") // 1024),
            boot_id=self.boot_id,
            start_monotonic_ns=monotonic_ns,
            start_realtime_ns=realtime_ns,
            clk_tck=os.sysconf("SC_CLK_TCK"),
            daemon_version=__version__,
            python_version=sys.version.split()[0],
            steward_pid=os.getpid(),
            killer_pid=killer.pid,
            config=encoded,
            config_hash=self.config_hash,
            config_generation=generation,
            layers=_layers(killer.shared.words[layout.LAYERS], report.notes),
            triggers=self.triggers,
            domain=domain.describe(),
            domain_kind=domain.kind,
            progress_source=killer.shared.words[layout.PROGRESS_SOURCE],
            notes=tuple(note for note in report.notes if note.layer == ABSENT),
        )
        data = encode_header(header)
        self.trace.begin(data)
        self.begun = Begun(self.config_hash, self.triggers, data)
        self.note(NoteKind.KILLER_STARTED, number=killer.pid)

    def begin_again(self, begun: Begun) -> None:
        """The killer of a header did not take over: what `begun` was before it holds, and later files begin with it."""
        self.begun = begun
        self.config_hash, self.triggers, self.trace.header = begun

    def file_records(self, killer: Killer) -> bool:
        """Append what the killer has written since the last call; True if there were kills among it.

        What the trace has no memory for stays in the ring.
        """
        before = self.kills
        self.trace.gather()
        try:
            self._append_records(killer)
        finally:
            self.trace.flush()
        lost, killer.ring.lost = killer.ring.lost, 0
        if lost:
            why = "overwrote records before they were filed"
            if killer.ring.foreign:
                why = "recorded in the layout of another version"
            self.lose(lost, f"killer {killer.pid} {why}")
        words = killer.shared.words
        skipped = (words[layout.SKIPPED] - words[layout.SKIPPED_TOLD]) & layout.WORD_MASK
        if skipped:
            words[layout.SKIPPED_TOLD] = (words[layout.SKIPPED_TOLD] + skipped) & layout.WORD_MASK
            self.lose(skipped, f"killer {killer.pid} left out records without a kill, to keep room for kills")
        if not self.trace.late:
            killer.ring.settle()
        return self.kills > before

    def _append_records(self, killer: Killer) -> None:
        # The bytes are copied as they are; the killer has written them by the same layout.
        for data in killer.ring.take():
            try:
                seen = peek(data)
            except RecordError as error:  # never seen; a reader must not stumble over what we could not read
                self.note(NoteKind.UNREADABLE_RECORD, str(error))
                self.lose(1, f"killer {killer.pid} left a record that cannot be read")
                continue
            # Whatever may fail comes before it is filed: it is tried again then.
            decoded = unpack_record(data) if self.holds.cares(seen) else None
            for pid, start_ticks in seen.candidates:
                self.names.tell(pid, start_ticks, pid == seen.pid)
            if not self.trace.record(data if seen.candidates else shortened(data)):
                break
            killer.ring.filed = killer.ring.tail
            is_kill = seen.pid > 0 and not seen.observe
            if is_kill:
                self.kills += 1
                self.trace.unsynced = True
            if decoded is not None:
                self.holds.see(decoded)
            if is_kill:
                age_ms = self.members_age_ms(seen.at_ms)
                if age_ms != ABSENT:
                    self.add(Note(seen.at_ms * 1_000_000, NoteKind.MEMBERSHIP, number=age_ms))

    def file_unrecorded(self, killer: Killer) -> None:
        """Declare the strike that a killer, now dead, had begun and did not live to record."""
        words = killer.shared.words
        pid = words[layout.STRIKING_PID]
        if pid and words[layout.STRIKING_SEQ] == words[layout.RING_HEAD]:
            adj = words[layout.STRIKING_ADJ]
            text = f"killer {killer.pid} ended while it struck pid {pid} (oom_score_adj {adj}); it has no record"
            self.lose(1, text)
            words[layout.STRIKING_PID] = 0  # told: a burial that is interrupted is carried out again

    def name(self, process: CandidateProcess) -> None:
        """File who a process is, once per trace file."""
        known = (process.uid, process.name, process.cmdline, process.cgroup)
        if process.named_in != self.trace.files or process.named_as != hash(known):
            who = Process(process.pid, process.start_ticks, *known)
            if self.trace.process(encode_process(who)):
                process.named_in, process.named_as = self.trace.files, hash(known)

    def file_strike(self, strike: Strike) -> bool:
        """Append a kill by the kernel's own hand; False when it has to wait in the kernel."""
        self.names.tell(strike.pid, strike.start_ticks, True)
        if not self.trace.strike(encode_strike(strike)):
            return False
        self.kills += 1
        self.trace.unsynced = True
        return True

    def note(self, kind: str, text: str = "", number: int = 0) -> bool:
        """A note of now: its NoteKind, what else is to be said, what the kind counts. False: no room for it."""
        return self.add(Note(0, kind, text, number))

    def add(self, note: Note) -> bool:
        """A note, dated now if it is not dated. False: there is no room for it."""
        at_ns = note.monotonic_ns or time.monotonic_ns()
        return self.trace.note(encode_note(note._replace(monotonic_ns=at_ns, text=note.text[:TEXT_CHARACTERS])))

    def be_watched(self, loop: EventLoop) -> None:
        """Have steps of the clock noted as they come."""
        if self.clock.fd >= 0:
            loop.watch(self.clock.fd, self._clock_stepped)

    def _clock_stepped(self, _: int) -> None:
        # By this time records are to be dated from here on.
        if self.clock.stepped():
            monotonic_ns, realtime_ns = both_clocks()
            self.add(Note(monotonic_ns, NoteKind.CLOCK_SET, number=realtime_ns))

    def count_oom_kills(self, domain: Domain) -> None:
        """Note how often the kernel's own OOM killer has struck in the domain: at first, and whenever that changes."""
        try:
            found = (id(domain), domain.oom_kills())
        except OSError:
            return  # the domain is gone, or memory is: the count is asked for again
        if found != self._oom_kills and self.note(NoteKind.OOM_KILLS, number=found[1]):
            self._oom_kills = found

    def has_recovered(self) -> bool:
        """True once after a disk that had refused takes frames again; what was lost meanwhile is noted."""
        recovered, self.trace.recovered = self.trace.recovered, False
        self._tell()
        self.declare()
        return recovered

    def _tell(self) -> None:
        # The log hears once that nothing can be filed, and once that this is over.
        refusal = self.trace.refusal
        if bool(refusal) != self._said_refused:
            self._said_refused = bool(refusal)
            text = f"no trace is filed: {refusal}; guarding goes on" if refusal else "the trace is filed again"
            say(f"lmkd-py: {text}, lost {self.lost}", sys.stderr)

    def close(self, why: str = "") -> None:
        """Sync the trace to disk and close it."""
        self.clock.close()
        self.declare()
        if why:
            self.note(NoteKind.STOPPED, why)
        self.trace.close()
        if self.trace.lost or self._undeclared:
            say(f"lmkd-py: {self.lost} records and strikes are not in the trace: {self.trace.refusal}", sys.stderr)


def _layers(active: int, notes: tuple[Note, ...]) -> tuple[Layer, ...]:
    return tuple(
        Layer(number, active >> number & 1, tuple(note for note in notes if note.layer == number))
        for number in range(len(LAYER_NAMES))
    )


def _line(path: str) -> str:
    try:
        with open(path, "rb") as file:
            return file.readline().strip().decode()
    except OSError:
        return ""

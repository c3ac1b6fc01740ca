"""What is written into the trace: headers, the killers' records, who the pids are, what happened to the daemon."""

from __future__ import annotations

import os
import sys
import time

from ... import __version__
from ...core.config import Config
from ...kernel.domain import Domain
from ...wire.config import config_hash, encode_config
from ...wire.header import (
    OOM_KILLS,
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
from ...wire.record import RecordError, unpack_record
from .. import shared as layout
from .keeper import Killer
from .registry import Process as Registered
from .registry import Registry
from .trace_file import TraceFile

LAYER_NAMES = (
    "the kill path allocates nothing",
    "resident and first in line",
    "a private pool, given back before acting",
    "the kernel strikes when the killer does not answer",
    "PF_MEMALLOC from trigger to last kill",
)


class Journal:
    """Files everything that a reader needs to re-decide and explain each wakeup."""

    def __init__(self, root: str, registry: Registry) -> None:
        self.registry = registry
        self.boot_id = _line("/proc/sys/kernel/random/boot_id")
        self.trace = TraceFile(root, self.boot_id)
        self.kills = 0
        self.lost = 0
        self.triggers: tuple[str, ...] = ()
        self.config_hash = ""
        self._oom_kills = (0, 0)  # domain and count as last noted

    def begin(self, config: Config, generation: int, killer: Killer, domain: str) -> None:
        """Write a header: at start, for another killer and after a reload."""
        said = killer.text()
        encoded = encode_config(config)
        self.config_hash = config_hash(encoded)
        self.triggers = tuple(line[8:] for line in said if line.startswith("trigger "))
        notes = "; ".join(line for line in said if line.startswith(("missing ", "note ")))
        uname = os.uname()
        header = Header(
            board=uname.nodename,
            kernel=uname.release,
            machine=uname.machine,
            page_size_bytes=os.sysconf("SC_PAGE_SIZE"),
            ram_kb=os.sysconf("SC_PHYS_PAGES") * (os.sysconf("SC_PAGE_SIZE") // 1024),
            boot_id=self.boot_id,
            start_monotonic_ns=time.monotonic_ns(),
            start_realtime_ns=time.time_ns(),
            clk_tck=os.sysconf("SC_CLK_TCK"),
            daemon_version=__version__,
            python_version=sys.version.split()[0],
            steward_pid=os.getpid(),
            killer_pid=killer.pid,
            config=encoded,
            config_hash=self.config_hash,
            config_generation=generation,
            layers=_layers(killer.shared.words[layout.LAYERS], notes),
            triggers=self.triggers,
            domain=domain,
        )
        self.trace.begin(encode_header(header))
        self.note("killer-started", notes, killer.pid)

    def file_records(self, killer: Killer) -> bool:
        """Append what the killer has written since the last call; True if there were kills among it.

        What the trace has no memory for stays in the ring.
        """
        before = self.kills
        for data in killer.ring.take():
            try:
                record = unpack_record(data)
            except RecordError as error:  # never seen; a reader must not stumble over what we could not read
                self.note("unreadable-record", str(error))
                continue
            for candidate in record.snapshot.candidates:
                known = self.registry.processes.get(candidate.pid)
                if known is not None and known.start_ticks == candidate.start_ticks:
                    self.name(known)
            if not self.trace.record(data):
                break
            killer.ring.filed = killer.ring.tail
            if record.outcome.pid > 0 and not record.observe:
                self.kills += 1
                self.trace.unsynced = True
        lost = killer.ring.lost
        if lost:
            self.note("lost", f"killer {killer.pid} overwrote records before they were filed", lost)
            self.lost += lost
            killer.ring.lost = 0
        return self.kills > before

    def name(self, process: Registered) -> None:
        """Say who a process is, once a file."""
        who = Process(process.pid, process.start_ticks, process.uid, process.name)
        self.trace.process(process.pid, process.start_ticks, encode_process(who))

    def file_strikes(self, strikes: list[Strike]) -> None:
        """Append kills by the kernel's own hand, as they were read back."""
        for strike in strikes:
            self.trace.strike(encode_strike(strike))
            self.kills += 1
            self.trace.unsynced = True

    def note(self, kind: str, text: str = "", number: int = 0, at_ns: int = 0) -> None:
        """One word, a sentence, what the word counts, and when that was, if not now."""
        self.trace.note(encode_note(Note(at_ns or time.monotonic_ns(), kind, text, number)))

    def count_oom_kills(self, domain: Domain) -> None:
        """Note how often the kernel's own OOM killer has struck in the domain: at first, and whenever that changes."""
        try:
            found = (id(domain), domain.oom_kills())
        except OSError:
            return  # the domain is gone, or memory is: the count is asked for again
        if found != self._oom_kills:
            self.note(OOM_KILLS, "by the kernel's OOM killer in the guarded memory, so far", found[1])
            self._oom_kills = found

    def close(self) -> None:
        """Everything on disk."""
        self.trace.close()


def _layers(active: int, notes: str) -> tuple[Layer, ...]:
    return tuple(
        Layer(number, active >> number & 1, name if active >> number & 1 else notes)
        for number, name in enumerate(LAYER_NAMES)
    )


def _line(path: str) -> str:
    with open(path, "rb") as file:
        return file.readline().strip().decode()

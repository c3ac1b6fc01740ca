"""What every memory domain offers: the same Snapshot, whatever is guarded."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod

from ...core.config import MonitorConfig
from ...core.snapshot import Outcome, Snapshot
from ...core.vocabulary import ABSENT
from ..pinned import PinnedFile
from ..procfs.psi import Pressure

# Snapshot's last fields, which no domain fills: memevents 0 and its times, the vendor request, no candidates.
NO_EVENTS = (0, 0, 0, ABSENT, ABSENT, ())
PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Domain(ABC):
    """A guarded domain with its pinned files. open_domain() makes one; steward and killer each open their own."""

    kind: int  # DomainKind

    def __init__(self, monitor: MonitorConfig, root: str) -> None:
        """Only notes what is wanted; open_domain() calls pin()."""
        self._monitor = monitor
        self._root = root
        self.gone = 0  # 1: sample() found the domain's directory removed
        self.psi_memory_path = ""  # file for PSI triggers; "" if there is none
        self.pressure_dir = ""  # v1 memcg directory for vmpressure and oom_control eventfds; "" if there is none
        self.events_path = ""  # v2 memory.events; "" if there is none
        self._files: list[PinnedFile] = []
        self._psi_memory: Pressure | None = None
        self._psi_io: Pressure | None = None
        self._psi_cpu: Pressure | None = None

    @abstractmethod
    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        """One pass over the pinned files; candidates are (), memevents 0 and the vendor fields ABSENT.

        Kill path: no kernel allocation but by the files that allocating() names, never raises.
        What cannot be read is ABSENT. SYSTEM reads zoneinfo only if `want_watermarks`, else the watermarks are ABSENT;
        in a cgroup they are derived from its limit and cost nothing, so they are always there.
        """

    def use_reclaims(self, words: memoryview, index: int) -> None:
        """A BPF program counts the domain's direct reclaims in words[index]: start-up, for the killer's own domain."""
        del words, index  # a cgroup tells by files of its own that do not allocate

    @abstractmethod
    def allocating(self) -> list[str]:
        """Files that sample() reads though each read takes a kmalloc, with what is missing that would spare it.

        Empty: a sample takes nothing. Start-up, after use_reclaims().
        """

    def fds(self) -> list[int]:
        """Every descriptor the domain holds."""
        return [file.fd for file in self._files if file.fd >= 0]

    @abstractmethod
    def members(self) -> list[int]:
        """Steward: pids inside the domain now. OSError naming the directory if it is gone."""

    @abstractmethod
    def oom_kills(self) -> int:
        """Steward: kills by the kernel's OOM killer in this domain so far; ABSENT where the kernel does not count."""

    @abstractmethod
    def describe(self) -> str:
        """One line for the trace header: what is guarded and where the numbers come from."""

    def close(self) -> None:
        """Close all descriptors; may be called twice."""
        for file in self._files:
            file.close()

    # For the kinds: start-up.

    @abstractmethod
    def pin(self) -> None:
        """Open everything and read it once; OSError or ValueError as open_domain() says."""

    def _pin_pressure(self, directory: str, suffix: str) -> None:
        # PSI is optional: a kernel or a cgroup without it leaves the fields ABSENT.
        paths = [os.path.join(directory, name + suffix) for name in ("memory", "io", "cpu")]
        self._psi_memory, self._psi_io, self._psi_cpu = (
            self._optional_pressure(path, totals) for path, totals in zip(paths, (1, 0, 0))
        )
        if self._psi_memory is not None:
            self.psi_memory_path = paths[0]

    def _optional_pressure(self, path: str, totals: int) -> Pressure | None:
        try:
            psi = Pressure(path, totals)
        except OSError as failure:
            # EOPNOTSUPP: compiled in but switched off at boot (psi=0).
            if failure.errno in (errno.ENOENT, errno.EOPNOTSUPP):
                return None
            raise
        self._files.append(psi.file)
        return psi

    # For the kinds: kill path.

    def _pressure(self) -> tuple[int, int, int, int, int, int, int]:
        # Snapshot's PSI fields in order. Memory last: its totals should be as fresh as can be.
        io_some = io_full = cpu_some = ABSENT
        if self._psi_io is not None:
            self._psi_io.read()
            io_some, io_full = self._psi_io.some_avg10, self._psi_io.full_avg10
        if self._psi_cpu is not None:
            self._psi_cpu.read()
            cpu_some = self._psi_cpu.some_avg10
        psi = self._psi_memory
        if psi is None:
            return ABSENT, ABSENT, io_some, io_full, cpu_some, ABSENT, ABSENT
        psi.read()
        return psi.some_avg10, psi.full_avg10, io_some, io_full, cpu_some, psi.some_total_us, psi.full_total_us

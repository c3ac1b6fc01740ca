"""What every memory domain offers: the same Snapshot, whatever is guarded."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from typing import Any, Callable

from ....core.config import MonitorConfig
from ....core.notes import Note
from ....core.snapshot import NO_OUTCOME, Outcome, Snapshot
from ....core.vocabulary import ABSENT, NoteKind
from ..pinned import PASSING, PinnedFile
from ..procfs import psi
from ..procfs.table import Row, Table
from ..procfs.zram import Zram, open_zram
from .placement import Placement

PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024
FIELDS = len(Snapshot._fields)  # of what a table reads so many are the snapshot's; behind them come the domain's own
# Nothing is known. No kernel of ours tells of memory events, nobody has hung, no candidates are asked for.
EMPTY = Snapshot._make([ABSENT] * FIELDS)._replace(
    page_kb=PAGE_KB,
    outcome=NO_OUTCOME,
    candidates=(),
    memevents=0,
    direct_reclaim_since_ms=0,
    kswapd_since_ms=0,
    hangs=0,
)


def index_of(*fields: str) -> tuple[int, ...]:
    """Where these fields of Snapshot stand in what a table reads."""
    return tuple(Snapshot._fields.index(field) for field in fields)


(_ZRAM,) = index_of("zram_stored_kb")  # three more follow
_SOME_TOTAL, _FULL_TOTAL = index_of("psi_mem_some_total_us", "psi_mem_full_total_us")


class Domain(ABC):
    """A guarded domain with its pinned files. open_domain() makes one; steward and killer each open their own."""

    kind: int  # DomainKind
    progress_source: int  # ProgressSource; known after use_reclaims()
    blank: Snapshot = EMPTY  # the fields that no file tells of
    own: tuple[str, ...] = ()  # names of the numbers from which a sample derives fields

    def __init__(self, monitor: MonitorConfig, root: str) -> None:
        """Only notes what is wanted; open_domain() calls pin()."""
        self._monitor = monitor
        self._root = root
        self.gone = 0  # 1: sample() found the domain's directory removed
        self.psi_memory_path = ""  # file for PSI triggers; "" if there is none
        self.pressure_dir = ""  # v1 memcg directory for vmpressure and oom_control eventfds; "" if there is none
        self.events_path = ""  # v2 memory.events; "" if there is none
        self._table = Table((*self.blank, *(ABSENT,) * len(self.own)), (*Snapshot._fields, *self.own))
        self._stall: Table | None = None  # of it, the totals alone
        self._others: list[PinnedFile] = []  # that are no rows of numbers
        self._lacks: list[Note] = []
        self._zram: Zram | None = None  # where it is told what swap lies on

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

    def stall_totals(self) -> tuple[int, int]:
        """PSI memory totals of the domain now, some and full in us; ABSENT where there are none. Allocates nothing."""
        if self._stall is None:
            return ABSENT, ABSENT
        values = self._stall.read()
        return values[_SOME_TOTAL], values[_FULL_TOTAL]

    def lacks(self) -> list[Note]:
        """What sample() will never tell here. Start-up, after use_reclaims()."""
        return self._lacks

    def files(self) -> list[PinnedFile]:
        """The pinned files that sample() reads."""
        return [*self._table.files, *self._others]

    def fds(self) -> list[int]:
        """All file descriptors that the domain holds."""
        return [file.fd for file in self.files() if file.fd >= 0]

    @abstractmethod
    def members(self) -> list[int]:
        """Steward: pids inside the domain now. OSError naming the directory if it is gone."""

    def among(self, pids: set[int]) -> set[int]:
        """Steward: those of `pids` that are inside the domain now. OSError naming the directory if it is gone."""
        return pids & set(self.members())

    def placed(self) -> Placement:
        """Steward: where it lies. OSError if it is gone."""
        return Placement()

    @abstractmethod
    def oom_kills(self) -> int:
        """Steward: kills by the kernel's OOM killer in this domain so far; ABSENT where the kernel does not count."""

    @abstractmethod
    def held_kb(self) -> dict[str, int]:
        """Steward: memory that no death gives back and the snapshot does not tell of, kB by name; never raises."""

    @abstractmethod
    def describe(self) -> str:
        """One line for the trace header: what is guarded and where the numbers come from."""

    def close(self) -> None:
        """Close all descriptors; may be called twice."""
        self._table.close()
        if self._stall is not None:
            self._stall.close()
        for file in self._others:
            file.close()

    # For the kinds: start-up.

    @abstractmethod
    def pin(self) -> None:
        """Open everything and read it once; OSError or ValueError as open_domain() says."""

    def _pin_pressure(self, directory: str, suffix: str) -> None:
        # PSI is optional: a kernel or a cgroup without it leaves the fields ABSENT.
        for name, rows in psi.FILES:
            path = os.path.join(directory, name + suffix)
            file = self._pin_optional(path, rows)
            if file is not None and rows is psi.MEMORY:
                self.psi_memory_path, self._stall = path, self._table.alone(file)

    def _pin_optional(self, path: str, rows: tuple[Row, ...], table: Table | None = None) -> PinnedFile | None:
        file: PinnedFile | None = self._optional(path, lambda: (table or self._table).pin(path, rows))
        return file

    def _pin_zram(self) -> None:
        self._zram = open_zram(self._root)
        if self._zram is not None:
            self._others += self._zram.files

    def _optional(self, path: str, opened: Callable[[], Any]) -> Any:
        """What can be done without: a file that is missing, denied or switched off (psi=0) is a note, and None.

        So is one without the text it should have: containers put /dev/null over files that are not to be seen.
        """
        try:
            return opened()
        except OSError as failure:
            if failure.errno in PASSING:
                raise
            self._lacks.append(Note(kind=NoteKind.FILE_LACKING, errno=failure.errno or errno.EIO, subject=path))
            return None
        except ValueError as failure:
            self._lacks.append(Note(kind=NoteKind.FILE_UNREADABLE, text=str(failure), subject=path))
            return None

    # For the kinds: kill path.

    def _put_zram(self, values: list[Any], swap_total_kb: int) -> None:
        # swap_total_kb is the host's.
        if self._zram is not None:
            values[_ZRAM : _ZRAM + 4] = self._zram.read(swap_total_kb)

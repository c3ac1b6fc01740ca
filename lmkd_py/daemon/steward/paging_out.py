"""Pages out idle applications while memory runs short: ahead of reclaim, which lets whoever needs a page wait for it.

Only the steward's, and in slices between which it serves what has come. It looks at memory when the killer says that
pressure begins, when it is awake anyway, and again for as long as room falls; on an idle machine it never wakes for it.
"""

from __future__ import annotations

from errno import EACCES, ENOSYS, EPERM
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from ...core.config import Config, DomainKind
from ...core.notes import Note
from ...core.room import room_of
from ...core.snapshot import Snapshot
from ...core.vocabulary import ABSENT, PREVIOUS_APP_ADJ, NoteKind
from ...core.watermarks import Marks, fresh_marks
from .. import shared as layout
from .backoff import NEVER
from .candidates.swap_sizes import tell_one
from .idle_memory import IdleMemory
from .pool import look

if TYPE_CHECKING:
    from .candidates.candidates import CandidateProcess
    from .parts import Parts

MIN_ADJ = PREVIOUS_APP_ADJ  # below it somebody notices
LOOK_S = 0.1  # between two looks at memory, and before what has to wait is tried again
GLANCE_S = 1.0  # between two looks when the steward is awake for another reason
FOLLOW_S = 0.5  # until the next look while room falls
FALL_PERMILLE = 5  # of memory from one look to the next: room falls
AMPLE = 2  # so many times the limit is no reason to look again
PAST_LIMIT_PCT = 125  # of the limit: up to there it is paged out, once there is less than the limit
SLICE_S, SLICE_KB = 0.005, 4096  # at most in one turn of the steward's loop
PAUSE_S = 0.005  # at least between two slices; else as long as a slice took
SPARE_KB = 512  # of free memory above the min watermark: zram takes from there before a page becomes free
LEAST_GAIN_PERMILLE = 250  # of a page that becomes free: less is not worth its compression
LEAST_KB = 512  # with less anonymous memory a process is left alone
AGAIN_S, LONGEST_S = 60.0, 960.0  # until a process is paged out again; twice as long each time if it came back
GROWN_S = 5.0  # between two looks whether it has grown meanwhile
SWAP_KEPT = 2  # times swap_free_low_pct of swap stays free: policies that kill for low swap are not to do so for this
NO_MARKS = Marks(ABSENT, ABSENT, ABSENT, 0)
_OFF = float("inf")


class Paged(NamedTuple):
    """A process that was paged out: which one, until when it is left alone, and what it had before."""

    start_ticks: int
    until_s: float
    wait_s: float
    anon_kb: int
    looked_s: float  # when it was last looked at whether it has grown


class PagingOut:
    """tend() does what is due, wait_s() says when that is. `refusal`: why it is never done."""

    def __init__(self) -> None:
        self.refusal: Note | None = None
        self._refused_one = False  # noted that somebody may not be paged out
        self._pct = 0
        self._due = _OFF
        self._looked = -_OFF
        self._room_kb = -1  # at the last look
        self._wanted_kb = 0  # that is still to be paged out, by the last look
        self._short = False
        self._swaps = False  # swap has room
        self._follow = False  # look again soon, though nobody says so
        self._calls = (0, 0)  # pid of a killer, and its verdicts so far
        self._queue: list[CandidateProcess] = []  # the next one last
        self._work: IdleMemory | None = None
        self._paged: dict[int, Paged] = {}
        self.processes = self.advised_kb = self.fell_kb = 0  # since the last note
        self.total_kb = 0  # by which Rss fell, in all

    def heed(self) -> None:
        """Pressure begins, or goes on: look soon."""
        if self._pct:
            self._due = min(self._due, max(monotonic(), self._looked + LOOK_S))

    def wait_s(self) -> float:
        """Seconds until tend() is due."""
        return NEVER if self._due == _OFF else max(0.0, self._due - monotonic())

    def notes(self) -> list[Note]:
        """For the status reply: why it is never done, or what was."""
        if self.refusal is not None:
            return [self.refusal]
        text = f"{self.total_kb >> 10} MiB less resident so far"
        count = sum(paged.anon_kb > 0 for paged in self._paged.values())
        return [Note(kind=NoteKind.PAGED_OUT, text=text, number=count)] if count else []

    def tend(self, steward: Parts) -> None:
        """Look, or go on with a slice, if it is time. The last thing in a turn: all else comes first."""
        monitor = steward.config.monitor
        if monitor.page_out_pct != self._pct:
            self._pct, self.refusal = monitor.page_out_pct, None
        now = monotonic()
        if not self._pct or monitor.observe or self.refusal is not None:
            self.end(steward)
        elif now < self._due and now < self._looked + GLANCE_S:
            return
        elif self._is_busy(steward) or (now >= self._looked + LOOK_S and not self._look(steward, now)):
            self._due = now + LOOK_S
        else:
            self._go_on(steward, now)

    def _is_busy(self, steward: Parts) -> bool:
        # A verdict comes first: the victim is filed, and its memory may be all that is needed; or somebody is looked
        # for. So do candidates whom the killer does not know yet.
        killer = steward.killer
        former, self._calls = self._calls, (killer.pid, killer.shared.words[layout.CALLS])
        unfinished = killer.behind() or steward.candidates.unfinished
        unfinished = unfinished or bool(steward.vacancy.pid) or steward.interrupted or steward.catch_up_due
        return unfinished or self._calls != former

    def _look(self, steward: Parts, now: float) -> bool:
        """How much is to be paged out. False: memory is so short that this would have to wait for it itself."""
        config, snapshot = steward.config, look(steward.domain)
        former_kb, self._looked = self._room_kb, now
        self._wanted_kb, self._follow = 0, False
        if snapshot.mem_free_kb < 0 or snapshot.mem_total_kb <= 0:
            return True
        marks = fresh_marks(NO_MARKS, snapshot, config.policy)
        room = room_of(snapshot, marks.low_pages, 0, config.policy)
        self._room_kb = room.free_kb + room.file_kb
        limit_kb = snapshot.mem_total_kb * self._pct // 100
        goal_kb = limit_kb * PAST_LIMIT_PCT // 100
        fell_kb = former_kb - self._room_kb if former_kb >= 0 else snapshot.mem_total_kb
        self._follow = self._room_kb < AMPLE * limit_kb and fell_kb * 1000 >= snapshot.mem_total_kb * FALL_PERMILLE
        was_short, self._short = self._short, self._room_kb < (goal_kb if self._short else limit_kb)
        if not self._short:
            self._follow = self._follow or was_short
            return True
        free_swap_kb = _free_swap_kb(snapshot, config)
        self._swaps = room.swap_kb > 0 and room.gain_permille >= LEAST_GAIN_PERMILLE and free_swap_kb > 0
        if self._swaps:
            self._wanted_kb = max(0, min(goal_kb - self._room_kb, free_swap_kb))
        host = steward.deferred.pool.host
        if steward.domain.kind != DomainKind.SYSTEM and host is not None:
            snapshot = look(host)
            marks = fresh_marks(NO_MARKS, snapshot, config.policy)
        least_kb = marks.min_pages * snapshot.page_kb + SPARE_KB if marks.min_pages >= 0 else 0
        return not self._wanted_kb or snapshot.mem_free_kb >= least_kb

    def _go_on(self, steward: Parts, now: float) -> None:
        if self._wanted_kb > 0 and self._work is None and not self._queue:
            self._choose(steward, now)
        if self._wanted_kb > 0:
            self._slice(steward, now)
        done = monotonic()
        if self._wanted_kb > 0 and (self._work is not None or self._queue):
            self._due = done + max(PAUSE_S, done - now)
        elif self._wanted_kb > 0:  # all that may be is done
            self.end(steward)
        elif self._short and self._swaps and (self._work is not None or self._queue):  # by the last look it is enough
            self._due = now + LOOK_S
        elif self._follow:
            self._due = now + FOLLOW_S
        else:
            self.end(steward)

    def _choose(self, steward: Parts, now: float) -> None:
        known = steward.candidates.processes
        self._paged = {pid: paged for pid, paged in self._paged.items() if pid in known}
        chosen = steward.candidates.most_expendable(len(known), MIN_ADJ)
        self._queue = [process for process in reversed(chosen) if self._may_be(process, now)]

    def _former(self, process: CandidateProcess) -> Paged | None:
        former = self._paged.get(process.pid)
        return former if former is not None and former.start_ticks == process.start_ticks else None

    def _may_be(self, process: CandidateProcess, now: float) -> bool:
        former = self._former(process)
        return former is None or now >= min(former.until_s, former.looked_s + GROWN_S)

    def _is_due(self, work: IdleMemory, now: float) -> bool:
        # Who reads back what was paged out is not idle. Who has grown by half has something new.
        former = self._former(work.process)
        if former is None or now >= former.until_s or 2 * work.anon_kb >= 3 * former.anon_kb:
            return True
        self._paged[work.process.pid] = former._replace(looked_s=now)
        return False

    def _open_next(self, steward: Parts, now: float) -> None:
        """Begin with the next one in the queue, if it is still there, idle, and has enough."""
        process = self._queue.pop()
        if steward.candidates.processes.get(process.pid) is not process:
            return
        work = IdleMemory(process, MIN_ADJ)
        try:
            work.open()
        except OSError as error:
            self._refuse(steward, error, process)
        if work.is_open and work.anon_kb >= LEAST_KB and self._is_due(work, now):
            self._work = work
        else:
            work.close()

    def _slice(self, steward: Parts, now: float) -> None:
        left_kb = SLICE_KB
        while left_kb > 0 and self._wanted_kb > 0 and monotonic() < now + SLICE_S:
            work = self._work
            if work is None:
                if not self._queue:
                    return
                self._open_next(steward, now)
                continue
            advised_kb, fell_kb, goes_on = work.advised_kb, work.fell_kb, False
            try:
                # Who is no candidate any more has no pidfd: its number may be another process's by now.
                is_known = steward.candidates.processes.get(work.process.pid) is work.process
                goes_on = is_known and work.advance(now + SLICE_S, left_kb)
            except OSError as error:
                self._refuse(steward, error, work.process)
            advised_kb, fell_kb = work.advised_kb - advised_kb, work.fell_kb - fell_kb
            left_kb -= advised_kb
            self._wanted_kb -= fell_kb
            self.advised_kb += advised_kb
            self.fell_kb += fell_kb
            self.total_kb += fell_kb
            if not goes_on:
                self._finish(steward, now)

    def _finish(self, steward: Parts, now: float) -> None:
        work, self._work = self._work, None
        if work is None:
            return
        work.close()
        if steward.candidates.processes.get(work.process.pid) is work.process:
            tell_one(steward.candidates, work.process)  # else the killer takes it for small, and the next one for large
        self.processes += 1 if work.advised_kb else 0
        former, wait_s = self._former(work.process), AGAIN_S
        if former is not None and not former.anon_kb and now < former.until_s:
            return  # it was refused just now
        if former is not None and 2 * work.anon_kb >= former.anon_kb:
            wait_s = min(2 * former.wait_s, LONGEST_S)
        self._leave(work.process, now, wait_s, work.anon_kb)

    def _leave(self, process: CandidateProcess, now: float, wait_s: float, anon_kb: int) -> None:
        # Who may not be paged out is not looked at meanwhile, either.
        looked_s = now if anon_kb else now + wait_s
        self._paged[process.pid] = Paged(process.start_ticks, now + wait_s, wait_s, anon_kb, looked_s)

    def _refuse(self, steward: Parts, error: OSError, process: CandidateProcess) -> None:
        # Of a process that is gone there is nothing to say; without memory or descriptors it is tried another time.
        if error.errno not in (EACCES, EPERM, ENOSYS):
            return
        note = Note(kind=NoteKind.PAGE_OUT_REFUSED, errno=error.errno, subject=process.name)
        if error.errno == EACCES:
            self._leave(process, monotonic(), LONGEST_S, 0)
            told, self._refused_one = self._refused_one, True
            if told:
                return
        else:
            note = self.refusal = note._replace(subject="process_madvise")
            self._queue, self._wanted_kb = [], 0
        steward.tell(note)

    def end(self, steward: Parts) -> None:
        """Nothing is to be done until somebody says so: what was is noted."""
        self._due = _OFF
        self._queue, self._wanted_kb = [], 0
        self._finish(steward, monotonic())
        if self.processes:
            text = f"{self.advised_kb >> 10} MiB advised, {self.fell_kb >> 10} MiB less resident"
            steward.journal.note(NoteKind.PAGED_OUT, text, self.processes)
        self.processes = self.advised_kb = self.fell_kb = 0


def _free_swap_kb(snapshot: Snapshot, config: Config) -> int:
    kept_kb = snapshot.swap_total_kb * min(100, SWAP_KEPT * config.policy.swap_free_low_pct) // 100
    return snapshot.swap_free_kb - kept_kb

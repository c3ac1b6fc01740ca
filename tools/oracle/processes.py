"""The simulated processes and the daemon's list of registered ones: slots, sizes, strikes and deaths."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.snapshot import Candidate
from lmkd_py.core.vocabulary import ABSENT, PERCEPTIBLE_APP_ADJ

_ESRCH = 3
_PID_BASE = 5_000_000


@dataclass(slots=True)
class SimulatedProcess:
    """state: A alive, D dead, Z zombie, T its pid is now a thread of another process."""

    rss_kb: int
    swap_kb: int
    death_ms: int  # from signal to death; -1: never
    state: str
    dies_at: int = -1
    generation: int = 0  # counts the reuses of its pid


@dataclass(slots=True)
class Record:
    """A registered process; `stamp` orders a slot, `generation` is whom the pidfd means."""

    adj: int
    stamp: int
    generation: int


@dataclass(frozen=True, slots=True)
class StrikeResult:
    """What a strike came to. stale: the pidfd means a process that is long gone, so the signal will fail."""

    number: int
    error: int
    rss_kb: int
    swap_kb: int
    stale: bool


class Processes:
    """What runs and what is registered, by the scenario's process number."""

    def __init__(self, page_kb: int, per_app_memcg: bool) -> None:
        self.page_kb = page_kb
        self.per_app_memcg = per_app_memcg
        self.running: dict[int, SimulatedProcess] = {}
        self.records: dict[int, Record] = {}
        self._stamp = 0

    def start(self, number: int, rss_kb: int, swap_kb: int, death_ms: int, state: str) -> None:
        self.running[number] = SimulatedProcess(rss_kb, swap_kb, death_ms, state)

    def register(self, number: int, adj: int) -> None:
        """PROCPRIO: threads and the dead are refused; a known process keeps its pidfd and becomes the newest."""
        process = self.running[number]
        if process.state in "TD":
            return
        if self.per_app_memcg and 600 <= adj <= 699:
            adj = PERCEPTIBLE_APP_ADJ
        known = self.records.get(number)
        self._stamp += 1
        self.records[number] = Record(adj, self._stamp, known.generation if known else process.generation)

    def change(self, operation: list[Any]) -> None:
        """`state`, `mem` or `reuse`: what happens to a process without the daemon being told."""
        process = self.running[operation[1]]
        if operation[0] == "reuse":
            process.generation += 1
            process.state = "A"
            process.dies_at = -1
        elif process.state == "D":
            return
        elif operation[0] == "state":
            process.state = operation[2]
        else:
            process.rss_kb, process.swap_kb = operation[2:4]

    def next_death(self) -> int | None:
        times = [p.dies_at for p in self.running.values() if p.dies_at >= 0 and p.state != "D"]
        return min(times, default=None)

    def die(self, now: int) -> None:
        """Let the deaths that are due by `now` take effect."""
        for process in self.running.values():
            if 0 <= process.dies_at <= now:
                process.state = "D"
                process.dies_at = -1

    def slots(self, min_adj: int) -> list[int]:
        """The slots in use from min_adj up, the most expendable first."""
        return sorted({r.adj for r in self.records.values() if r.adj >= min_adj}, reverse=True)

    def candidates(self, adj: int, config: PolicyConfig, scanned: list[int]) -> tuple[Candidate, ...]:
        """One slot as the daemon sees it. Sizes are read where the largest is wanted of several; unreadable ones go."""
        slot = [number for number, r in self.records.items() if r.adj == adj]
        slot.sort(key=lambda number: -self.records[number].stamp)
        sized = len(slot) > 1 and (config.kill_heaviest_task or adj <= PERCEPTIBLE_APP_ADJ)
        found = []
        for number in slot:
            pages = ABSENT
            if sized:
                scanned.append(number)
                pages = self._size_pages(number)
                if pages < 0:
                    del self.records[number]
                    continue
            found.append(Candidate(_PID_BASE + number, 10_000 + number, adj, pages, 0, self.records[number].stamp))
        return tuple(found)

    def _size_pages(self, number: int) -> int:
        process = self.running[number]
        if process.state == "D":
            return ABSENT
        return 0 if process.state == "Z" else process.rss_kb // self.page_kb

    def strike(self, pid: int, now: int) -> StrikeResult:
        """The record is gone whatever comes of it; whoever fails AOSP's checks before the kill is left alone."""
        number = pid - _PID_BASE
        record = self.records.pop(number)
        process = self.running[number]
        if process.state != "A":
            return StrikeResult(number, -_ESRCH, 0, 0, stale=False)
        stale = record.generation != process.generation
        if not stale and process.death_ms >= 0 and process.dies_at < 0:
            process.dies_at = now + process.death_ms
        return StrikeResult(number, 0, process.rss_kb, process.swap_kb, stale)

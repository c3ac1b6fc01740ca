"""Memory as one LRU of chunks, with zram that takes memory itself, kswapd, direct reclaim, PSI and an OOM killer."""

from __future__ import annotations

from collections import OrderedDict

TICK_MS = 10
CHUNK_KB = 256
CHUNK_PAGES = CHUNK_KB // 4
MIB = 1024
# ms to move a page: measured on the board, lz4 on an emulated CPU.
OUT_MS, IN_MS = 0.040, 0.060
OOM_AFTER_MS = 400.0  # of reclaim in vain
OOM_DEATH_MS = 60


class Process:
    """Somebody who has chunks; `dies_ms` is when a struck one will be dead, `dead_ms` when it was."""

    def __init__(self, name: str, adj: int, pid: int) -> None:
        self.name, self.adj, self.pid = name, adj, pid
        self.chunks: list[int] = []
        self.dies_ms = self.dead_ms = 0

    @property
    def kb(self) -> int:
        return len(self.chunks) * CHUNK_KB


class Memory:
    """`ram_mib` is what can be used: without what the kernel and daemons never give back."""

    def __init__(self, ratio: float = 8.6, ram_mib: int = 155, swap_mib: int = 192) -> None:
        self.ram_kb, self.swap_kb, self.ratio = ram_mib * MIB, swap_mib * MIB, ratio
        self.min_kb, self.low_kb, self.high_kb = 1843, 2304, 2764
        self.resident: OrderedDict[int, None] = OrderedDict()  # the LRU, the coldest first
        self.swapped: set[int] = set()
        self.processes: list[Process] = []
        self.now_ms = 0
        self.stalled_ms = 0.0  # PSI some
        self.refaults = self.scanned = self.kswapd_scanned = 0  # pages
        self.deaths: list[Process] = []  # struck, in their order
        self.oom_kills = 0
        self._made = 0
        self._futile_ms = 0.0
        self._kswapd_runs = False

    @property
    def free_kb(self) -> int:
        return int(self.ram_kb - len(self.resident) * CHUNK_KB - len(self.swapped) * CHUNK_KB / self.ratio)

    @property
    def swap_free_kb(self) -> int:
        return self.swap_kb - len(self.swapped) * CHUNK_KB

    def start(self, name: str, adj: int, mib: float = 0) -> Process:
        """Another process, which has all its memory at once."""
        process = Process(name, adj, 100 + len(self.processes))
        self.processes.append(process)
        for _ in range(int(mib * MIB / CHUNK_KB)):
            while not self.allocate(process, 1000)[1]:
                self.background()
        return process

    def strike(self, process: Process, death_ms: int) -> None:
        """It will be dead in death_ms."""
        if not process.dies_ms:
            process.dies_ms = self.now_ms + death_ms
            self.deaths.append(process)

    def reap(self) -> None:
        """Whoever is to be dead by now gives its memory back."""
        for process in self.processes:
            if process.dies_ms and not process.dead_ms and self.now_ms >= process.dies_ms:
                process.dead_ms = self.now_ms
                for chunk in process.chunks:
                    self.resident.pop(chunk, None)
                    self.swapped.discard(chunk)
                process.chunks = []

    def allocate(self, process: Process, budget_ms: float) -> tuple[float, bool]:
        """One chunk more: the time it waited, and whether it got it within its budget."""
        waited, fits = self._direct_reclaim(budget_ms)
        if fits:
            self._made += 1
            self.resident[self._made] = None
            process.chunks.append(self._made)
        return waited, fits

    def touch(self, chunk: int, budget_ms: float) -> tuple[float, bool]:
        """Use a chunk, which may have to come back from swap."""
        if chunk in self.resident:
            self.resident.move_to_end(chunk)
            return 0.0, True
        waited, fits = self._direct_reclaim(budget_ms)
        if fits:
            self.swapped.discard(chunk)
            self.resident[chunk] = None
            self.refaults += CHUNK_PAGES
            waited += CHUNK_PAGES * IN_MS
        return waited, fits

    def background(self) -> bool:
        """A tick of kswapd; whether it ran."""
        if not self._kswapd_runs:
            self._kswapd_runs = self.free_kb < self.low_kb  # it comes up at the next tick
            return self._kswapd_runs
        spent_ms = 0.0
        while self.free_kb < self.high_kb and spent_ms < TICK_MS:
            if not self._evict():
                self.kswapd_scanned += CHUNK_PAGES
                break
            self.kswapd_scanned += CHUNK_PAGES
            spent_ms += CHUNK_PAGES * OUT_MS
        self._kswapd_runs = self.free_kb < self.high_kb
        return True

    def _evict(self) -> bool:
        if not self.resident or self.swap_free_kb < CHUNK_KB:
            return False
        chunk, _ = self.resident.popitem(last=False)
        self.swapped.add(chunk)
        return True

    def _direct_reclaim(self, budget_ms: float) -> tuple[float, bool]:
        spent_ms = 0.0
        while self.free_kb < self.min_kb + CHUNK_KB:
            if spent_ms >= budget_ms:
                return spent_ms, False
            if not self._evict():
                self._futile_ms += budget_ms - spent_ms
                if self._futile_ms > OOM_AFTER_MS and all(one.dead_ms for one in self.deaths):
                    self._oom_kill()
                return budget_ms, False
            spent_ms += CHUNK_PAGES * OUT_MS
            self.scanned += CHUNK_PAGES
            self._futile_ms = 0
        return spent_ms, True

    def _oom_kill(self) -> None:
        # oom_badness(): pages, and oom_score_adj in permille of all memory.
        self._futile_ms = 0
        living = [one for one in self.processes if not one.dies_ms]
        if living:
            self.oom_kills += 1
            all_kb = self.ram_kb + self.swap_kb
            self.strike(max(living, key=lambda one: one.kb + one.adj * all_kb // 1000), OOM_DEATH_MS)

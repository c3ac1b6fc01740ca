"""Struct offsets of a kernel that tells nothing of its types: found by changing processes of our own and looking.

Needed for nothing but the `current` programs, which call no kernel function. Loader's child only.
"""

from __future__ import annotations

import os
import struct
from time import sleep

from . import calls, layout, search
from .peek import Peek
from .probed_process import GROWTH_PAGES, ProbedProcess

NOTE = "offsets found by experiment (kernel without BTF)"

WORDS = (
    *(layout.TASK_SIGNAL, layout.SIGNAL_ADJ, layout.TASK_START, layout.TASK_LEADER, layout.SIGNAL_FLAGS),
    *(layout.SIGNAL_LIVE, layout.TASK_MM, layout.MM_RSS_FILE, layout.MM_RSS_ANON, layout.MM_RSS_SHMEM),
)
_TASK_BYTES, _BEHIND_BYTES = 10240, 2048
_TASK_LEAST_BYTES = 4096  # no 64-bit kernel has a smaller one
_ADJ_MAX = 1000
_ADJS = 5  # three for a lone thread, two for a pair
_TICKS = 3
_ROUNDS = 4  # on a busy machine one in thirty leaves something unknown
# linux/sched/signal.h: what signal_struct.flags is while stopped, continued, killed; unchanged since 2.6.
_AS_STARTED, _STOPPED, _CONTINUED, _KILLED = 0, 1, 2, 4


def find() -> dict[int, int]:
    """Offsets by word; a word that is missing was not found. OSError or ValueError (one line) without the least."""
    try:
        peek = Peek()
    except calls.Rejected as error:
        raise ValueError(str(error)) from None
    found: dict[int, int] = {}
    try:
        peek.task()  # says what is wrong, where a probed process would only die of it
        for _ in range(_ROUNDS):
            found.update(_round(peek))
            if len(found) == len(WORDS):
                break
    finally:
        peek.close()
    return found


def _round(peek: Peek) -> dict[int, int]:
    processes: list[ProbedProcess] = []
    try:
        for threads in (1, 2):
            processes.append(ProbedProcess(peek, threads))
        found = _find(peek, processes[0], processes[1])
    finally:
        for process in processes:
            process.end()
    return {word: offset for word, offset in found.items() if offset != search.UNKNOWN}


def _find(peek: Peek, lone: ProbedProcess, pair: ProbedProcess) -> dict[int, int]:
    found: dict[int, int] = {}
    found[layout.TASK_SIGNAL], found[layout.SIGNAL_ADJ] = search.signal_pair(_shots(peek, lone, pair))
    _task_words(peek, lone, pair, found)
    _memory_words(peek, lone, found)
    _signal_words(peek, lone, pair, found)
    return found


def _task(peek: Peek, address: int) -> bytes:
    return peek.read(address, _TASK_BYTES)


def _shots(peek: Peek, lone: ProbedProcess, pair: ProbedProcess) -> list[search.Shot]:
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        first = max(0, int(file.read()))
    # Raised only: that needs no right. With CAP_SYS_RESOURCE the kernel would note each value as the least, too.
    adjs = [first + (_ADJ_MAX - first) * step // _ADJS for step in range(1, _ADJS + 1)]
    processes = (lone, pair, lone, pair, lone)
    shots = []
    with calls.WithoutResourceRight():
        for process, adj in zip(processes, adjs):
            with open(f"/proc/{process.pid}/oom_score_adj", "w", encoding="ascii") as file:
                file.write(str(adj))
            for address in process.tasks:
                task = _task(peek, address)
                behind = {each: peek.read(each, _BEHIND_BYTES) for each in set(search.pointers(task).values())}
                shots.append(search.Shot(adj, task, behind))
    return shots


def _task_words(peek: Peek, lone: ProbedProcess, pair: ProbedProcess, found: dict[int, int]) -> None:
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    sleep(_TICKS * tick_s)
    for process in (lone, pair):
        process.run()  # so that times of its last run are not those of its start
    own = [(process, address, _task(peek, address)) for process in (lone, pair) for address in process.tasks]
    leaders = search.places((struct.pack("<Q", process.tasks[0]), task) for process, _, task in own)
    found[layout.TASK_LEADER] = search.only(leaders)
    starts = [(process.start_ticks, task) for process, address, task in own if address == process.tasks[0]]
    found[layout.TASK_START] = search.start_time(starts, int(1e9 * tick_s))


def _memory_words(peek: Peek, lone: ProbedProcess, found: dict[int, int]) -> None:
    start = lone.tasks[0]
    task = _task(peek, start)
    # Not into itself: where page faults of shared memory count as major (Linux 5.10), its two counts grow likewise.
    addresses = {each for each in search.pointers(task).values() if not start <= each < start + _TASK_LEAST_BYTES}
    looks = []
    for grow in (lone.run, lone.grow_anonymous, lone.grow_shared):
        grow()
        looks.append({each: peek.read(each, _BEHIND_BYTES) for each in addresses})
    mm, anon, shmem = search.resident(task, looks, GROWTH_PAGES)
    file = anon - (shmem - anon) // 2  # MM_FILEPAGES 0, MM_ANONPAGES 1, MM_SHMEMPAGES 3
    if mm != search.UNKNOWN and file >= 0 and shmem > anon:
        found[layout.TASK_MM] = mm
        found[layout.MM_RSS_FILE], found[layout.MM_RSS_ANON], found[layout.MM_RSS_SHMEM] = file, anon, shmem


def _signal_words(peek: Peek, lone: ProbedProcess, pair: ProbedProcess, found: dict[int, int]) -> None:
    def signal_of(process: ProbedProcess) -> bytes:
        (address,) = struct.unpack("<Q", peek.read(process.tasks[0] + found[layout.TASK_SIGNAL], 8)[:8])
        return peek.read(address, _BEHIND_BYTES)

    flags: list[tuple[bytes, bytes]] = []
    live: list[tuple[bytes, bytes]] = []

    def look(process: ProbedProcess, flag: int, threads: int) -> None:
        dump = signal_of(process)
        flags.append((struct.pack("<I", flag), dump))
        live.append((struct.pack("<I", threads), dump))

    for process in (lone, pair):
        look(process, _AS_STARTED, process.threads)
    lone.stop()
    look(lone, _STOPPED, 1)
    lone.resume()
    look(lone, _CONTINUED, 1)
    for process in (lone, pair):
        process.kill()
        look(process, _KILLED, 0)
    found[layout.SIGNAL_FLAGS] = search.only(search.places(flags))
    # Since 5.19 a second counter is like it for our purpose, and behind it.
    found[layout.SIGNAL_LIVE] = min(search.places(live), default=search.UNKNOWN)

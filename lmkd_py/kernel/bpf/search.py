"""Finds struct offsets in dumps of kernel memory by what must stand there. Pure: dumps are bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

UNKNOWN = -1  # an offset that could not be found
_ADJ = struct.Struct("<h")
_LEAST_VALUES = 3  # of oom_score_adj; how many follow them by chance falls by 65,536 with each


class Shot(NamedTuple):
    """A task_struct while its process had this oom_score_adj, and what lay behind the pointers in it, by address."""

    adj: int
    task: bytes
    behind: dict[int, bytes]


def pointers(task: bytes) -> dict[int, int]:
    """Kernel addresses by the offset they stand at. Upper half, on any 64-bit machine; not an error number."""
    found = enumerate(_words(task))
    return {8 * index: value for index, value in found if 0xF << 60 <= value < (1 << 64) - 4096 and not value % 8}


def signal_pair(shots: Sequence[Shot]) -> tuple[int, int]:
    """(TASK_SIGNAL, SIGNAL_ADJ): behind which pointer, and how far, all shots have their oom_score_adj.

    ValueError unless exactly one pair does. It takes shots of processes with one thread and with more: the list of
    a lone thread is anchored in signal_struct, too.
    """
    values = {shot.adj for shot in shots}
    if len(values) < _LEAST_VALUES:
        raise ValueError(f"oom_score_adj took {len(values)} values; wanted {_LEAST_VALUES} or more")
    pairs = set.intersection(*(set(_pairs(shot)) for shot in shots))
    if len(pairs) != 1:
        raise ValueError(f"{len(pairs)} places follow oom_score_adj; wanted exactly one")
    return pairs.pop()


def _pairs(shot: Shot) -> Iterator[tuple[int, int]]:
    wanted = _ADJ.pack(shot.adj)
    places: dict[int, list[int]] = {}  # many pointers lead to one address
    for offset, address in pointers(shot.task).items():
        if address not in places:
            places[address] = list(_found(wanted, shot.behind.get(address, b"")))
        for place in places[address]:
            yield offset, place


def _found(value: bytes, dump: bytes) -> Iterator[int]:
    # Where this value stands, at multiples of its size.
    place = dump.find(value)
    while place >= 0:
        if place % len(value) == 0:
            yield place
        place = dump.find(value, place + 1)


def places(seen: Iterable[tuple[bytes, bytes]]) -> set[int]:
    """Offsets at which each of these dumps has its value: (value, dump), all values of one size."""
    return set.intersection(*(set(_found(value, dump)) for value, dump in seen))


def only(found: set[int]) -> int:
    """The one offset there is; UNKNOWN if there are none or several."""
    return next(iter(found)) if len(found) == 1 else UNKNOWN


def start_time(seen: Sequence[tuple[int, bytes]], tick_ns: int) -> int:
    """Offset of start_boottime in dumps of task_struct: (start in ticks since boot, dump).

    start_time, without the times of suspend, is the same tick where there were none, and read a little earlier.
    """
    found = set.intersection(*(set(_in_tick(ticks, tick_ns, dump)) for ticks, dump in seen))
    ranked = sorted(found, key=lambda offset: [_u64(dump, offset) for _, dump in seen])
    if len(ranked) == 2:
        pairs = [(_u64(dump, ranked[0]), _u64(dump, ranked[1])) for _, dump in seen]
        if any(first > second for first, second in pairs) or all(first == second for first, second in pairs):
            return UNKNOWN
    return ranked[-1] if 1 <= len(ranked) <= 2 else UNKNOWN


def resident(task: bytes, looks: Sequence[dict[int, bytes]], growth: int) -> tuple[int, int, int]:
    """(TASK_MM, MM_RSS_ANON, MM_RSS_SHMEM): looks behind the pointers of this task_struct, by address.

    Between the first look and the second it took `growth` pages of anonymous memory, then as many of shared memory.
    UNKNOWN for all three unless exactly one struct has a counter for each that followed, a quarter more or less.
    """
    offsets = pointers(task)
    anonymous: set[tuple[int, int]] = set()  # (address of a struct, place in it)
    shared: set[tuple[int, int]] = set()
    for address in set(offsets.values()):
        for index, (first, second, third) in enumerate(zip(*(_words(look.get(address, b"")) for look in looks))):
            if first == second == third:
                continue
            if _near(second - first, growth, growth) and _near(third - second, 0, growth):
                anonymous.add((address, 8 * index))
            elif _near(second - first, 0, growth) and _near(third - second, growth, growth):
                shared.add((address, 8 * index))
    # Both in one struct: that leaves out what grew by chance, like the load of a CPU. And active_mm stands right behind
    # mm and is the same in every process: that leaves out pointers into mm, and to what happens to lie before it.
    twice = {address: offset for offset, address in offsets.items() if offsets.get(offset + 8) == address}
    pairs = {(address, anon, shmem) for address, anon in anonymous for other, shmem in shared if other == address}
    places = {(address + anon, address + shmem) for address, anon, shmem in pairs}
    found = [pair for pair in pairs if pair[0] in twice]
    if len(places) != 1 or len(found) != 1:
        return UNKNOWN, UNKNOWN, UNKNOWN
    ((mm, anon, shmem),) = found
    return twice[mm], anon, shmem


def _near(grew: int, wanted: int, growth: int) -> bool:
    return abs(grew - wanted) <= growth // 4


def _in_tick(ticks: int, tick_ns: int, dump: bytes) -> Iterator[int]:
    for index, value in enumerate(_words(dump)):
        if value // tick_ns == ticks:
            yield 8 * index


def _words(dump: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f"<{len(dump) // 8}Q", dump)


def _u64(dump: bytes, offset: int) -> int:
    (value,) = struct.unpack_from("<Q", dump, offset)
    return int(value)

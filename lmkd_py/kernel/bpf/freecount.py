"""Where the kernel keeps its own count of free pages, vm_zone_stat, without BTF. Loader's child only.

Kernels name it only with CONFIG_KALLSYMS_ALL; else it is looked for in the kernel's data by what /proc/vmstat shows of
it. The address changes with every boot, so nothing keeps it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from time import sleep

from .peek import PIECE, PIECES, Peek

# In the order of enum zone_stat_item and of /proc/vmstat: NR_FREE_PAGES is the first of both since Linux 4.8.
FIRST = b"nr_free_pages"
_COUNTS = struct.Struct("<6q")
_LINE = 64  # the array begins a cache line, or more: ____cacheline_aligned_in_smp
_CHUNK = 16 * PIECE * PIECES
_LOOKS = 5
_STIR_PAGES = 256  # may come and go again between two looks
_ARM64_HEAD = 1 << 16  # from _text to _stext, either of which may be where "Kernel code" begins


def address(kallsyms: str = "/proc/kallsyms", iomem: str = "/proc/iomem") -> int:
    """Of the count. OSError or ValueError (one line) unless it holds what /proc/vmstat says, look after look."""
    named = addresses_of((b"vm_zone_stat", b"_stext"), kallsyms)
    peek = Peek()
    try:
        if b"vm_zone_stat" in named:
            found = [named[b"vm_zone_stat"]]
        elif b"_stext" in named:
            found = list(_search(peek, data_areas(named[b"_stext"], iomem)))
        else:
            raise ValueError(f"{kallsyms} shows no addresses (kernel.kptr_restrict)")
        for _ in range(_LOOKS):
            before = vmstat()
            seen = [(each, _COUNTS.unpack_from(peek.read(each, _LINE))) for each in found]
            after = vmstat()
            found = [each for each, counts in seen if _between(before, counts, after)]
            sleep(0.01)
    finally:
        peek.close()
    if not found:
        raise ValueError("no place in the kernel's data holds the values of /proc/vmstat")
    return found[0]  # where all memory is one zone, that zone's own count is as good


def addresses_of(symbols: Sequence[bytes], path: str) -> dict[bytes, int]:
    """Addresses of those that the kernel shows."""
    found = {}
    with open(path, "rb") as file:
        for line in file:
            words = line.split()
            if words[2] in symbols and len(words) == 3 and int(words[0], 16):
                found[words[2]] = int(words[0], 16)
    return found


def data_areas(stext: int, path: str) -> list[range]:
    """Addresses of the kernel's data, which lie to its code as in physical memory. ValueError if that is not told."""
    areas: dict[str, range] = {}
    with open(path, encoding="ascii", errors="replace") as file:
        for line in file:
            place, _, name = line.strip().partition(" : ")
            if name.startswith("Kernel "):
                first, _, last = place.partition("-")
                areas[name] = range(int(first, 16), int(last, 16) + 1)
    code = areas.get("Kernel code", range(0))
    if not code.start:
        raise ValueError(f"{path} does not show where the kernel lies")
    found = [areas[name] for name in ("Kernel data", "Kernel bss") if name in areas]
    return [range(stext + area.start - code.start - _ARM64_HEAD, stext + area.stop - code.start) for area in found]


def vmstat() -> tuple[int, ...]:
    """The first counts of /proc/vmstat, that of free pages first. ValueError if it begins with another."""
    with open("/proc/vmstat", "rb") as file:
        lines = file.read().split(b"\n")[:6]
    if not lines[0].startswith(FIRST + b" "):
        raise ValueError(f"/proc/vmstat begins with {lines[0]!r}; wanted {FIRST.decode()}")
    return tuple(int(line.split()[1]) for line in lines)


def _search(peek: Peek, areas: Iterable[range]) -> Iterator[int]:
    for area in areas:
        for place in range(area.start & -_CHUNK, area.stop, _CHUNK):
            yield from (place + offset for offset in alike(peek.read(place, _CHUNK), vmstat()))


def alike(dump: bytes, counts: Sequence[int]) -> Iterator[int]:
    """Offsets of cache lines in `dump` that begin with about these counts."""
    least, most = counts[0] - counts[0] // 8 - _STIR_PAGES, counts[0] + counts[0] // 8 + _STIR_PAGES
    for index, free in enumerate(memoryview(dump).cast("q")[:: _LINE // 8].tolist()):
        if free and least <= free <= most:
            there = _COUNTS.unpack_from(dump, index * _LINE)
            if all(abs(one - other) <= other // 8 + _STIR_PAGES for one, other in zip(there, counts)):
                yield index * _LINE


def _between(before: Sequence[int], counts: Sequence[int], after: Sequence[int]) -> bool:
    # /proc/vmstat shows nothing below 0.
    return all(
        min(first, last) - _STIR_PAGES <= max(0, count) <= max(first, last) + _STIR_PAGES
        for first, count, last in zip(before, counts, after)
    )

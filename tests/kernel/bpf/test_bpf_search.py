"""Struct offsets found in made-up dumps: the one that follows, or none at all rather than a wrong one."""

from __future__ import annotations

import random
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.kernel.bpf import freecount, search

UNKNOWN = search.UNKNOWN
KERNEL = 0xFFFF_8880_0000_0000
TICK_NS = 10_000_000
ADJS = (200, 400, 600, 800, 1000)


def patched(dump: bytes, *values: tuple[int, bytes]) -> bytes:
    """The dump with these bytes at these offsets."""
    raw = bytearray(dump)
    for offset, value in values:
        raw[offset : offset + len(value)] = value
    return bytes(raw)


def word(value: int) -> bytes:
    return struct.pack("<Q", value)


class MadeUp:
    """A task_struct of 4 KiB with pointers to structs of 1 KiB, one of them signal_struct; all else is noise."""

    def __init__(self, seed: int, signal: int = 1832, adj: int = 1058, threads: int = 1) -> None:
        self.noise = random.Random(seed)
        self.pair = signal, adj
        self.heap = [KERNEL + self.noise.randrange(1 << 30) * 8 for _ in range(40)]
        self.task = bytearray(self.noise.randbytes(4096))
        for offset in self.noise.sample(range(0, 4096, 8), 120):
            # The list of a lone thread leads to its signal_struct, too.
            self.task[offset : offset + 8] = word(self.noise.choice(self.heap[threads - 1 :]))
        self.task[signal : signal + 8] = word(self.heap[0])
        self.structs = {address: self.noise.randbytes(1024) for address in self.heap}

    def shot(self, adj: int, *also: tuple[int, int]) -> search.Shot:
        """The process has this oom_score_adj, which also stands at these (struct, offset)."""
        behind = dict(self.structs)
        for number, offset in ((0, self.pair[1]), *also):
            place = self.heap[number]
            behind[place] = patched(behind[place], (offset, struct.pack("<h", adj)))
        return search.Shot(adj, bytes(self.task), behind)


@given(st.integers(0, 1 << 32), st.integers(0, 511), st.integers(0, 511))
def test_the_pair_that_follows_every_value_is_found_in_any_noise(seed: int, signal: int, adj: int) -> None:
    made = MadeUp(seed, 8 * signal, 2 * adj)
    other = MadeUp(seed + 1, 8 * signal, 2 * adj, threads=2)
    shots = [made.shot(value) for value in ADJS[:3]] + [other.shot(value) for value in ADJS[3:]]
    assert search.signal_pair(shots) == made.pair


@pytest.mark.parametrize("number", [0, 1], ids=["in-signal-struct", "elsewhere"])
def test_two_places_that_follow_are_refused(number: int) -> None:
    made = MadeUp(1)
    assert made.heap[number] in search.pointers(bytes(made.task)).values()
    shots = [made.shot(value, (number, 700)) for value in ADJS]
    with pytest.raises(ValueError, match=r"^[0-9]+ places follow oom_score_adj; wanted exactly one$"):
        search.signal_pair(shots)


def test_no_place_that_follows_is_refused() -> None:
    made = MadeUp(2)
    blind = [search.Shot(adj, bytes(made.task), made.structs) for adj in ADJS]
    with pytest.raises(ValueError, match=r"^0 places follow"):
        search.signal_pair(blind)
    with pytest.raises(ValueError, match=r"^0 places follow"):
        search.signal_pair([search.Shot(adj, b"", {}) for adj in ADJS])


def test_too_few_values_are_refused() -> None:
    made = MadeUp(3)
    with pytest.raises(ValueError, match="took 2 values; wanted 3 or more"):
        search.signal_pair([made.shot(200), made.shot(400), made.shot(400)])


@given(st.lists(st.builds(search.Shot, st.integers(-1000, 1000), st.binary(max_size=64), st.just({})), max_size=6))
def test_shots_of_anything_are_refused_with_one_line(shots: list[search.Shot]) -> None:
    with suppress(ValueError):
        search.signal_pair(shots)
        pytest.fail("nothing lies behind any pointer")


def test_pointers_are_kernel_addresses_and_no_error_numbers() -> None:
    values = (KERNEL, 0x7FFF_0000_0000_0000, 0, (1 << 64) - 12, KERNEL + 4, 0xF5FF_0000_1000_0000)
    assert search.pointers(b"".join(map(word, values)) + b"tail") == {0: KERNEL, 40: 0xF5FF_0000_1000_0000}


@given(st.integers(0, 255), st.integers(0, 1 << 32))
def test_a_value_is_found_where_every_dump_has_it(place: int, seed: int) -> None:
    noise = random.Random(seed)
    seen = [(struct.pack("<I", value), noise.randbytes(1024)) for value in (1, 2, 0, 4)]
    dumps = [(value, patched(dump, (4 * place, value))) for value, dump in seen]
    assert 4 * place in search.places(dumps)
    assert search.places([*dumps, (b"\1\2\3\4", bytes(1024))]) == set()
    assert search.places([(b"\1\0\0\0", b"\0\1\0\0\0\0\0\0")]) == set()  # not at a multiple of its size


def test_only_one_offset_is_an_answer() -> None:
    assert search.only({8}) == 8
    assert search.only(set()) == search.only({8, 16}) == UNKNOWN


def starts(*offsets_and_ns: tuple[int, int]) -> tuple[int, bytes]:
    """A task_struct that began in tick 700, with these times in it."""
    return 700, patched(bytes(512), *((offset, word(700 * TICK_NS + ns)) for offset, ns in offsets_and_ns))


def test_the_later_one_of_two_start_times_is_that_with_the_suspends() -> None:
    assert search.start_time([starts((64, 5000))], TICK_NS) == 64
    assert search.start_time([starts((64, 5000), (72, 5030)), starts((64, 90), (72, 90))], TICK_NS) == 72
    assert search.start_time([starts((64, 5030), (72, 5000))], TICK_NS) == 64


def test_start_times_that_cannot_be_told_apart_are_unknown() -> None:
    assert search.start_time([starts()], TICK_NS) == UNKNOWN
    assert search.start_time([starts((64, 5000), (72, 5000))], TICK_NS) == UNKNOWN
    assert search.start_time([starts((64, 1), (72, 2)), starts((64, 2), (72, 1))], TICK_NS) == UNKNOWN
    assert search.start_time([starts((64, 1), (72, 2), (80, 3))], TICK_NS) == UNKNOWN


MM = KERNEL + 4096
GREW = 1024


def looks(*counters: tuple[int, int, int, int]) -> list[dict[int, bytes]]:
    """Three looks at the structs behind MM: (offset, and the counter in each look)."""
    return [{MM: patched(bytes(1024), *((place, word(values[look])) for place, *values in counters))}
            for look in range(3)]  # fmt: skip


ANON, SHMEM = (400, 900, 1950, 1960), (480, 3, 3, 1000)


def test_the_counters_of_resident_memory_are_found_behind_the_first_pointer_to_them() -> None:
    task = patched(bytes(64), (16, word(MM)), (24, word(MM)), (40, word(KERNEL)))
    total = (320, 5000, 5000, 5000)  # what was mapped does not grow by being used
    faults = (328, 100, 1124, 2148)
    assert search.resident(task, looks(ANON, SHMEM, total, faults), GREW) == (16, 400, 480)
    into = patched(task, (8, word(MM + 256)))  # a pointer into the struct
    both = [{**look, MM + 256: look[MM][256:]} for look in looks(ANON, SHMEM)]
    assert search.resident(into, both, GREW) == (16, 400, 480)
    before = patched(task, (48, word(MM - 256)))  # to its neighbour in memory, as Linux 5.10 had one
    reach = [{**look, MM - 256: bytes(256) + look[MM]} for look in looks(ANON, SHMEM)]
    assert search.resident(before, reach, GREW) == (16, 400, 480)
    beside = [
        {**look, KERNEL: other[MM]} for look, other in zip(looks(ANON, SHMEM), looks((40, 0, 1024, 1024)), strict=True)
    ]
    assert search.resident(task, beside, GREW) == (16, 400, 480)  # grew by chance


def test_counters_that_are_missing_or_several_are_unknown() -> None:
    task = patched(bytes(64), (16, word(MM)))
    unknown = (UNKNOWN,) * 3
    assert search.resident(task, looks(ANON, SHMEM), GREW) == unknown  # no active_mm
    task = patched(task, (24, word(MM)))
    assert search.resident(task, looks(ANON), GREW) == unknown
    assert search.resident(task, looks(SHMEM), GREW) == unknown
    assert search.resident(task, looks(ANON, SHMEM, (8, 0, 1100, 1100)), GREW) == unknown
    assert search.resident(bytes(64), looks(ANON, SHMEM), GREW) == unknown
    assert search.resident(task, looks(ANON, (480, 3, 3, 500)), GREW) == unknown
    apart = patched(task, (24, word(KERNEL)))
    split = [{MM: mine[MM], KERNEL: other[MM]} for mine, other in zip(looks(ANON), looks(SHMEM), strict=True)]
    assert search.resident(apart, split, GREW) == unknown


def test_symbols_are_found_by_their_whole_names_unless_they_are_hidden(tmp_path: Path) -> None:
    names = tmp_path / "kallsyms"
    names.write_text("ffffffff82a00040 D vm_zone_stat_of\nffffffff82a00080 B vm_zone_stat\nffffffffc0000000 d x\t[m]\n")
    assert freecount.addresses_of((b"vm_zone_stat", b"x"), str(names)) == {b"vm_zone_stat": 0xFFFFFFFF82A00080}
    names.write_text("0000000000000000 B vm_zone_stat\n")
    assert freecount.addresses_of((b"vm_zone_stat",), str(names)) == {}


def test_the_kernels_data_lies_to_its_code_as_in_physical_memory(tmp_path: Path) -> None:
    x86, arm, bare = (tmp_path / name for name in ("x86", "arm", "bare"))
    x86.write_text(
        "00100000-3fffffff : System RAM\n  01000000-022090c7 : Kernel code\n  02400000-02e08fff : Kernel rodata\n"
        "  03000000-0327c03f : Kernel data\n  03b34000-03c57fff : Kernel bss\n"
    )
    arm.write_text(
        "40000000-7fffffff : System RAM\n  40210000-4110ffff : Kernel code\n  41420000-417effff : Kernel data\n"
    )
    head = 1 << 16
    assert freecount.data_areas(0xFFFFFFFF81000000, str(x86)) == [
        range(0xFFFFFFFF83000000 - head, 0xFFFFFFFF8327C040),
        range(0xFFFFFFFF83B34000 - head, 0xFFFFFFFF83C58000),
    ]
    assert freecount.data_areas(0xFFFF800008010000, str(arm)) == [range(0xFFFF800009210000, 0xFFFF8000095F0000)]
    bare.write_text("00000000-00000000 : Kernel code\n00000000-00000000 : Kernel data\n")
    with pytest.raises(ValueError, match="does not show where the kernel lies"):
        freecount.data_areas(0xFFFFFFFF81000000, str(bare))


@given(st.integers(0, 1 << 32), st.integers(0, 63), st.lists(st.integers(5000, 1 << 24), min_size=6, max_size=6))
def test_counts_are_found_in_any_noise_where_a_cache_line_begins(seed: int, line: int, counts: list[int]) -> None:
    dump = patched(random.Random(seed).randbytes(4096), (64 * line, struct.pack("<6q", *counts)))
    assert list(freecount.alike(dump, counts)) == [64 * line]
    assert list(freecount.alike(dump, [count + count // 16 for count in counts])) == [64 * line]  # it has changed since
    assert list(freecount.alike(dump, [*counts[:5], counts[5] * 2 + 512])) == []
    assert list(freecount.alike(bytes(4096), [0] * 6)) == []

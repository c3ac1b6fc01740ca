"""Memory held for a bad moment: giving it back takes nothing, taking it again may be done in steps."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from lmkd_py.core.config import BY_RAM
from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.kernel.protection import reserve as protection
from lmkd_py.kernel.protection.reserve import Reserve, suitable_kb
from lmkd_py.kernel.sensing.perf import ALLOCATION_EVENTS, PAGE_FAULTS, RECLAIM_EVENTS, EventCounter
from lmkd_py.wire.sentences import sentence

KB = 4096


def locked_kb() -> int:
    found = re.search(r"VmLck:\s+(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.mark.root("the kernel counts what the thread allocates")
def test_giving_it_back_takes_nothing_that_could_wait() -> None:
    reserve = Reserve(KB)
    assert reserve.active == 1
    try:
        # Not page faults: this process is not locked, so its own code may fault. Giving back touches no page.
        with EventCounter(
            (*(each for each in ALLOCATION_EVENTS if each not in PAGE_FAULTS), *RECLAIM_EVENTS)
        ) as counter:
            reserve.give_back()
    finally:
        reserve.close()
    counts = dict(zip(counter.events, counter.counts, strict=True))
    pages = counts.pop("kmem:mm_page_alloc")
    assert set(counts.values()) == {0}, counts
    # The list of what is freed: batches of pages asked for with GFP_NOWAIT, done without where there is none.
    assert pages <= 16


def test_it_is_locked_until_it_is_given_back_and_again_once_whole() -> None:
    before = locked_kb()
    reserve = Reserve(KB)
    try:
        assert (locked_kb() - before, reserve.present) == (KB, KB << 10)
        reserve.give_back()
        assert (locked_kb(), reserve.present) == (before, 0)
        assert not reserve.take(KB << 9)
        assert (locked_kb(), reserve.present) == (before, KB << 9)
        assert reserve.take(KB << 10)
        assert locked_kb() - before == KB
    finally:
        reserve.close()
    assert locked_kb() == before


def test_a_child_has_no_part_in_it() -> None:
    reserve = Reserve(KB)
    try:
        there = f"{reserve._address:x}-".encode()
        assert there in Path("/proc/self/maps").read_bytes()
        child = os.fork()
        if child == 0:
            os._exit(1 if there in Path("/proc/self/maps").read_bytes() else 0)
        assert os.waitpid(child, 0)[1] == 0
    finally:
        reserve.close()


@pytest.mark.parametrize(
    ("ram_mib", "kb"), [(16 << 10, 8192), (2048, 8192), (1024, 5242), (512, 2621), (511, 0), (228, 0), (0, 0)]
)
def test_by_itself_it_takes_no_more_than_suits_the_machine(ram_mib: int, kb: int) -> None:
    assert suitable_kb(ram_mib << 10) == kb


@pytest.mark.parametrize("ram_mib", [1024, 256])
def test_a_machine_too_small_for_one_says_so(monkeypatch: pytest.MonkeyPatch, ram_mib: int) -> None:
    monkeypatch.setattr(protection, "ram_kb", lambda: ram_mib << 10)
    reserve = Reserve(BY_RAM)
    try:
        assert (reserve.active, reserve.kb) == (int(ram_mib > 512), suitable_kb(ram_mib << 10))
        assert (sentence(reserve.note) == "no private pool with 256 MiB of RAM, unless reserve_kb asks for one") == (
            ram_mib == 256
        )
    finally:
        reserve.close()


def test_no_size_is_no_reserve() -> None:
    reserve = Reserve(0)
    assert (reserve.active, reserve.note) == (0, Note(kind=NoteKind.POOL_OFF, layer=2))
    reserve.give_back()
    assert reserve.take(1)
    reserve.close()

"""Whom the steward pages out, when, and how much of it at a time. The kernel's part is asked for and not done here."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from errno import EACCES, EINVAL, ENOSYS, EPERM, ESRCH
from pathlib import Path

import pytest

from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.steward import paging_out
from lmkd_py.daemon.steward.idle_memory import IdleMemory
from lmkd_py.daemon.steward.paging_out import AGAIN_S, FOLLOW_S, LOOK_S, PAUSE_S, SLICE_KB, SLICE_S
from lmkd_py.wire.control import Request, Verb
from tests.daemon.rig import Rig
from tests.daemon.steward.paging_bench import BIG_KB, PLENTY_KB, SHORT_KB, Bench

RESIDENT = IdleMemory._resident_kb  # as it is


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    rig = Rig(tmp_path / "root")
    made = Bench(rig)
    made.take_over(monkeypatch)
    yield made
    rig.close()


def test_the_most_expendable_goes_first_and_nobody_below_700(bench: Bench) -> None:
    bench.rig.add(950)
    bench.rig.add(699)
    bench.rig.steward.events.scan()
    bench.turns()
    assert bench.paged() == [950, 900, 700]
    assert bench.notes() == [(NoteKind.PAGED_OUT, 3, 0)]


def test_who_has_come_to_the_front_is_left_alone_though_nobody_told_us(bench: Bench) -> None:
    Path(f"/proc/{bench.pid_of(900)}/oom_score_adj").write_text("0")
    bench.turns()
    assert bench.paged() == [700]


def test_who_comes_to_the_front_meanwhile_is_not_gone_on_with(bench: Bench) -> None:
    bench.call_s = SLICE_S
    bench.turn()
    bench.now_s += LOOK_S
    bench.turn()
    assert bench.paged() == [900]
    Path(f"/proc/{bench.pid_of(900)}/oom_score_adj").write_text("0")
    before = sum(pid == bench.pid_of(900) for pid, _ in bench.calls)
    bench.turns()
    assert sum(pid == bench.pid_of(900) for pid, _ in bench.calls) == before
    assert bench.paged() == [900, 700]


def test_nothing_is_looked_at_where_it_is_off_or_only_observed(bench: Bench) -> None:
    for monitor in ({"page_out_pct": 0}, {"page_out_pct": 25, "observe": 1}):
        bench.configure(**monitor)
        bench.turns()
        bench.part.heed()
        bench.turns()
    assert (bench.looks, bench.calls) == (0, [])


def test_nobody_is_paged_out_while_there_is_room_and_nothing_is_due_then(bench: Bench) -> None:
    bench.memory["mem_free_kb"] = PLENTY_KB
    bench.turns()
    assert (bench.calls, bench.part.wait_s()) == ([], -1.0)
    looks = bench.looks
    bench.turn()
    assert bench.looks == looks, "within a second of a look the steward that is awake does not look again"
    bench.now_s += paging_out.GLANCE_S
    bench.turn()
    assert bench.looks == looks + 1
    bench.part.heed()
    assert 0 <= bench.part.wait_s() < LOOK_S * 1.01


def test_file_cache_that_can_be_dropped_is_room(bench: Bench) -> None:
    bench.memory.update(inactive_file_kb=PLENTY_KB, cached_kb=PLENTY_KB)
    bench.turns()
    assert not bench.calls


@pytest.mark.parametrize(
    "memory",
    [
        {"swap_total_kb": 0, "swap_free_kb": 0},
        {"swap_total_kb": 2_000_000, "swap_free_kb": 400_000},  # twice swap_free_low_pct are kept
        # zram that has stored much without gaining anything
        {"cached_kb": 1, "zram_swap_kb": 2_000_000, "zram_stored_kb": 500_000, "zram_used_kb": 490_000},
        {"cached_kb": 1, "zram_swap_kb": 2_000_000, "zram_stored_kb": 500_000, "zram_used_kb": 100_000,
         "zram_limit_kb": 100_000},
    ],
)  # fmt: skip
def test_nobody_is_paged_out_where_swap_has_no_room(bench: Bench, memory: dict[str, int]) -> None:
    bench.memory.update(memory)
    bench.turns()
    assert not bench.calls


def test_it_waits_while_free_memory_is_at_the_min_watermark(bench: Bench) -> None:
    bench.turn()  # the verdicts so far
    bench.memory["mem_free_kb"] = 20_000
    for _ in range(5):
        bench.now_s += bench.part.wait_s()
        bench.turn()
        assert bench.part.wait_s() == pytest.approx(LOOK_S)
    assert not bench.calls
    bench.memory["mem_free_kb"] = SHORT_KB
    bench.turns()
    assert bench.paged() == [900, 700]


def test_a_verdict_comes_first(bench: Bench) -> None:
    bench.turn()
    for _ in range(3):
        bench.rig.killer.shared.words[layout.CALLS] += 1
        bench.now_s += LOOK_S
        bench.turn()
        assert not bench.calls
        assert bench.part.wait_s() == pytest.approx(LOOK_S)
    bench.turns()
    assert bench.paged() == [900, 700]


def test_a_slice_is_bounded_by_time_and_by_size(bench: Bench) -> None:
    bench.turn()  # takes note of the verdicts so far
    bench.now_s += LOOK_S
    bench.turn()
    assert 0 < sum(size for _, size in bench.calls) <= SLICE_KB << 10
    assert bench.part.wait_s() == pytest.approx(PAUSE_S)
    bench.calls.clear()
    bench.call_s = SLICE_S * 0.4
    bench.now_s += PAUSE_S
    bench.turn()
    assert len(bench.calls) == 3
    assert bench.part.wait_s() == pytest.approx(3 * bench.call_s), "as long as the slice took"
    bench.calls.clear()
    bench.turn()
    assert not bench.calls, "somebody else's event is no reason to go on sooner"


def test_no_more_is_paged_out_than_is_wanted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def resident(memory: IdleMemory) -> int:
        return BIG_KB - (sum(size for pid, size in bench.calls if pid == memory.process.pid) >> 10)

    monkeypatch.setattr(IdleMemory, "_resident_kb", resident)
    bench.memory["mem_free_kb"] = 1_000_000  # a little below 25 % once the low watermark is off
    bench.memory["mem_total_kb"] = 1_000_000 * 4 - 120_000
    bench.turn()
    wanted_kb = 1_212_500 - 960_000
    for _ in range(1000):
        bench.now_s += bench.part.wait_s()
        fell_kb = sum(size for _, size in bench.calls) >> 10
        bench.memory["mem_free_kb"] = 1_000_000 + fell_kb
        bench.turn()
        if bench.part.wait_s() < 0 or bench.part.wait_s() == FOLLOW_S:
            break
    assert sum(size for _, size in bench.calls) >> 10 <= wanted_kb + SLICE_KB


def test_who_was_paged_out_is_left_alone_for_a_minute_and_longer_each_time_it_came_back(bench: Bench) -> None:
    bench.turns()
    for times in (1, 2, 4):
        bench.calls.clear()
        bench.now_s += AGAIN_S * times - 2
        bench.turns()
        assert not bench.calls
        bench.now_s += 3
        bench.turns()
        assert bench.paged() == [900, 700]


def test_who_has_grown_by_half_is_paged_out_again(bench: Bench) -> None:
    bench.turns()
    bench.calls.clear()
    bench.resident_kb[bench.pid_of(700)] = BIG_KB * 3 // 2
    bench.resident_kb[bench.pid_of(900)] = BIG_KB * 3 // 2 - 1
    bench.now_s += paging_out.GROWN_S
    bench.turns()
    assert bench.paged() == [700]


def test_another_process_with_the_same_pid_is_another_one(bench: Bench) -> None:
    bench.turns()
    bench.calls.clear()
    bench.rig.steward.candidates.processes[bench.pid_of(900)].start_ticks += 1
    bench.now_s += paging_out.GLANCE_S
    bench.turns()
    assert bench.paged() == [900]


def test_little_memory_is_not_worth_it(bench: Bench) -> None:
    bench.resident_kb[bench.pid_of(900)] = paging_out.LEAST_KB - 1
    bench.turns()
    assert bench.paged() == [700]


@pytest.mark.parametrize("error", [ENOSYS, EPERM])
def test_what_nobody_may_is_said_once_and_not_tried_again(bench: Bench, error: int) -> None:
    bench.errors = dict.fromkeys(bench.rig.adjs, error)
    bench.turns()
    bench.now_s += 1000
    bench.part.heed()
    bench.turns()
    assert len(bench.calls) == 1
    assert bench.notes() == [(NoteKind.PAGE_OUT_REFUSED, 0, error)]
    reply = bench.rig.steward.answer(Request(Verb.STATUS))
    assert [note.errno for note in reply.notes if note.kind == NoteKind.PAGE_OUT_REFUSED] == [error]
    bench.errors.clear()
    bench.configure(page_out_pct=30)
    bench.turns()
    assert bench.paged() == [900, 700], "another configuration tries it again"


def test_who_may_not_be_paged_out_is_passed_over(bench: Bench) -> None:
    bench.rig.add(800)
    bench.rig.steward.events.scan()
    bench.errors = {bench.pid_of(900): EACCES, bench.pid_of(800): EACCES}
    bench.turns()
    calls = [bench.rig.adjs[pid] for pid, _ in bench.calls]
    assert (calls.count(900), calls.count(800)) == (1, 1)
    assert calls.count(700) > 1
    assert bench.notes() == [(NoteKind.PAGE_OUT_REFUSED, 0, EACCES), (NoteKind.PAGED_OUT, 1, 0)]


def test_who_dies_meanwhile_or_has_odd_memory_is_no_failure(bench: Bench) -> None:
    bench.errors = {bench.pid_of(900): ESRCH, bench.pid_of(700): EINVAL}
    bench.turns()
    calls = [bench.rig.adjs[pid] for pid, _ in bench.calls]
    assert calls.count(900) == 1
    assert calls.count(700) > 1, "each mapping is tried"
    assert not bench.notes()
    pid = bench.pid_of(700)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    bench.now_s += AGAIN_S
    bench.errors.clear()
    bench.calls.clear()
    bench.turns()
    assert bench.paged() == [900]
    del bench.rig.adjs[pid]


def test_it_looks_again_for_as_long_as_room_falls(bench: Bench) -> None:
    bench.memory["mem_free_kb"] = 1_900_000
    bench.turn()
    for _ in range(5):
        bench.now_s += bench.part.wait_s()
        bench.turn()
        assert bench.part.wait_s() == pytest.approx(FOLLOW_S)
        bench.memory["mem_free_kb"] -= 20_000
    bench.memory["mem_free_kb"] += 20_000
    bench.now_s += bench.part.wait_s()
    bench.turn()
    assert bench.part.wait_s() < 0
    assert not bench.calls


def test_the_descriptors_of_a_process_are_closed(bench: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    bench.turns()
    assert bench.calls
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("name", ["statm", "oom_score_adj"])
@pytest.mark.parametrize("text", [b"", b"\n", b"many", b"1 x y"])
def test_a_file_of_proc_without_its_numbers_is_no_failure(
    bench: Bench, name: str, text: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(IdleMemory, "_resident_kb", RESIDENT)
    texts = {"statm": b"900 900 0", "oom_score_adj": b"900", name: text}
    monkeypatch.setattr(IdleMemory, "_read", lambda memory, asked: texts[asked])
    bench.turns()
    assert not bench.calls

"""A kernel without type information: what experiments find is what its BTF would have said, and the strike works."""

from __future__ import annotations

import errno
import mmap
import os
import signal
import struct
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import (
    VARIANT_CURRENT,
    VARIANT_LIST,
    VARIANT_WALK,
    BpfRefused,
    Order,
    btf,
    calls,
    experiment,
    facts,
    freecount,
    layout,
    load_apart,
    peek,
    probed_process,
    search,
)
from tests.kernel.bpf_tools import (
    LIMIT_MIB,
    close,
    guarded,
    killer_of,
    load,
    rows_of,
    start_ticks,
    wait_events,
)
from tests.support import IS_ROOT, require, wait_until

CURRENT = (VARIANT_CURRENT,)
WORDS = set(experiment.WORDS)


def no_btf() -> NoReturn:
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "/sys/kernel/btf/vmlinux")


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """This kernel's BTF is out of sight for whoever loads."""
    monkeypatch.setattr(facts, "resolve", no_btf)


@pytest.fixture
def experimented() -> dict[int, int]:
    """Struct offsets found by experiment on this machine."""
    require(IS_ROOT, "root: experiments read kernel memory")
    return experiment.find()


def test_every_offset_is_the_one_btf_tells(experimented: dict[int, int]) -> None:
    require(os.path.exists(btf.PATH), "a kernel with BTF, to compare with")
    told = facts.resolve()
    assert experimented == {word: told.words[word - facts.FIRST] for word in WORDS}


def test_an_experiment_leaves_nobody_behind_and_keeps_its_rights(experimented: dict[int, int]) -> None:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()  # of other tests
    status = Path("/proc/self/status").read_text()
    fds = len(os.listdir("/proc/self/fd"))
    assert experiment.find() == experimented
    again = Path("/proc/self/status").read_text()
    assert [line for line in again.splitlines() if line.startswith("Cap")] == [
        line for line in status.splitlines() if line.startswith("Cap")
    ]
    assert len(os.listdir("/proc/self/fd")) == fds
    assert set(children.read_text().split()) <= set(before.split())


def test_what_a_busy_machine_left_unknown_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    require(IS_ROOT, "root: experiments read kernel memory")
    rounds: list[dict[int, int]] = [dict.fromkeys(WORDS - {layout.TASK_MM}, 8), {layout.TASK_MM: 16}, {}]
    monkeypatch.setattr(experiment, "_round", lambda _: rounds.pop(0))
    assert experiment.find() == {**dict.fromkeys(WORDS, 8), layout.TASK_MM: 16}
    assert rounds == [{}]
    rounds *= 9
    assert experiment.find() == {}  # in the end it stays unknown
    assert rounds


def test_the_least_adj_does_not_follow_and_comes_back_with_the_right() -> None:
    before = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
    with calls.WithoutResourceRight():
        inside = Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0]
        assert not int(inside, 16) >> 24 & 1
    assert Path("/proc/self/status").read_text().partition("CapEff:")[2].split()[0] == before


def test_what_cannot_be_read_is_zeros_and_only_the_asker_is_answered() -> None:
    require(IS_ROOT, "root: it reads kernel memory")
    name = Path("/proc/self/comm").read_text()
    looking = peek.Peek()
    task = looking.task()
    assert looking.task() == task
    whole = looking.read(task, 10240)
    assert len(whole) == 10240
    assert whole[:4096] != bytes(4096)
    assert looking.read(64, 128) == bytes(128)
    before = looking._words[peek.ANSWERS]
    Path("/proc/self/comm").write_text(name)
    assert looking._words[peek.ANSWERS] == before
    looking.close()
    with pytest.raises(ValueError, match="the tracepoint task_rename ran no program"):
        looking.task()


def refusal(order: Order, cache: Path) -> str:
    with pytest.raises(BpfRefused) as caught:
        load_apart(order, str(cache), "")
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.root("makes a memory cgroup")
@pytest.mark.usefixtures("hidden")
def test_current_loads_and_says_how_and_the_others_say_what_they_lack(tmp_path: Path) -> None:
    lacks = "it calls kernel functions by BTF id; needs CONFIG_DEBUG_INFO_BTF"
    with Sandbox(LIMIT_MIB) as board:
        attached = load(Order(board.place.psi), tmp_path)
        assert attached.variant == VARIANT_CURRENT
        assert attached.notes == (f"list: {lacks}", experiment.NOTE)
        close(attached)
        line = refusal(Order(board.place.psi, variants=(VARIANT_LIST, VARIANT_WALK)), tmp_path)
        assert line == f"this kernel accepts no strike program: list: {lacks}; walk: {lacks}"


@pytest.mark.usefixtures("hidden")
def test_the_whole_system_loads_by_the_kernels_own_count_of_free_pages(tmp_path: Path) -> None:
    attached = load(Order(""), tmp_path)
    assert attached.variant == VARIANT_CURRENT
    with mmap.mmap(attached.guard_fd, layout.WORDS_BYTES) as words:
        (place,) = struct.unpack_from("=Q", words, 8 * layout.FREE_AT)
    close(attached)
    looking = peek.Peek()
    before, there, after = freecount.vmstat()[0], looking.read(place, 8), freecount.vmstat()[0]
    looking.close()
    assert min(before, after) - 8192 <= struct.unpack_from("<q", there)[0] <= max(before, after) + 8192


@pytest.mark.usefixtures("hidden")
def test_the_whole_system_is_refused_where_that_count_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(IS_ROOT, "root: it reads kernel memory")
    refused = "whole system: the count of free pages: "
    monkeypatch.setattr(freecount, "addresses_of", lambda *_: {b"vm_zone_stat": 4096})
    assert refusal(Order(""), tmp_path).startswith(
        refused + "no place in the kernel's data holds the values of /proc/vmstat;"
    )
    monkeypatch.setattr(freecount, "addresses_of", lambda *_: {})
    line = refusal(Order(""), tmp_path)
    assert line.startswith(refused + "/proc/kallsyms shows no addresses (kernel.kptr_restrict);")


@pytest.mark.usefixtures("hidden")
def test_what_was_found_is_cached_and_a_failure_or_a_part_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experimented: dict[int, int]
) -> None:
    found = [dict(experimented)]
    monkeypatch.setattr(experiment, "find", lambda: found[-1])
    found[-1].pop(layout.TASK_MM)
    part = facts.facts_of_this_kernel(str(tmp_path))
    assert part.by_experiment
    assert not part.knows(layout.TASK_MM)
    assert part.knows(layout.TASK_SIGNAL)
    assert not list(tmp_path.iterdir())

    found.append(experimented)
    whole = facts.facts_of_this_kernel(str(tmp_path))
    assert whole.knows(*WORDS)
    assert not whole.function_ids()
    found.append({})
    assert facts.facts_of_this_kernel(str(tmp_path)) == whole  # from the cache


@pytest.mark.usefixtures("hidden")
def test_an_experiment_without_a_clear_result_refuses_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(IS_ROOT, "root: experiments read kernel memory")
    monkeypatch.setattr(search, "_pairs", lambda _: {(8, 8), (16, 8)})
    line = refusal(Order("", variants=CURRENT), tmp_path)
    assert line.startswith("the kernel's type information: [Errno 2] No such file or directory: '/sys/kernel/btf/vmlin")
    assert "'; by experiment: 2 places follow oom_score_adj; wanted exactly one; needs CONFIG_DEBUG_INFO_BTF" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("hidden")
def test_a_specimen_that_dies_is_a_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    require(IS_ROOT, "root: experiments read kernel memory")
    monkeypatch.setattr(probed_process, "_live", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    assert "which was to be experimented on, has died" in refusal(Order("", variants=CURRENT), tmp_path)


@pytest.mark.pressure
@pytest.mark.usefixtures("hidden")
def test_the_killer_stopped_under_thrash_the_expendable_reclaimers_die_and_nobody_else(tmp_path: Path) -> None:
    with (
        Sandbox(LIMIT_MIB) as board,
        guarded(board, tmp_path, variants=CURRENT) as (guard, attached),
        killer_of(attached) as killer,
    ):
        idle = [board.start_app(f"idle-{adj}", adj, 0.5) for adj in (999, 900, 0)]
        killer.stop()
        expendable = [*board.start_thrashers(1, adj=900), *board.start_thrashers(1, adj=950)]
        kept = [
            *board.start_thrashers(1, adj=899),
            *board.start_thrashers(1, adj=0),
            *board.start_thrashers(1, adj=970),
        ]
        guard.never(kept[-1].pid)  # expendable by its adj, and spared
        said = {row[0]: row for row in rows_of(expendable)}
        guard.arm(layout.STRIKE)
        wait_until("there are 2 strikes", lambda: guard.counters().strikes == 2)
        assert all(app.wait_dead(60) for app in expendable)
        strikes = guard.strikes(0)
        assert {each.pid: (each.pid, each.adj, each.start_ticks) for each in strikes} == said
        assert all(0 < each.rss_pages < LIMIT_MIB * 256 for each in strikes)
        wait_events(guard, 300)
        assert guard.counters().strikes == 2
        assert all(app.is_alive() for app in (*idle, *kept))
        assert board.oom_kills() == 0


@pytest.mark.pressure
@pytest.mark.usefixtures("hidden")
def test_with_only_the_least_found_the_strike_works_and_the_unknown_is_told_as_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, experimented: dict[int, int]
) -> None:
    least = {word: experimented[word] for word in (layout.TASK_SIGNAL, layout.SIGNAL_ADJ)}
    monkeypatch.setattr(experiment, "find", lambda: least)
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path, variants=CURRENT, gap_ns=0) as (guard, _):
        expendable = [*board.start_thrashers(1, adj=900), *board.start_thrashers(1, adj=950)]
        kept = board.start_thrashers(2, adj=0)
        guard.arm(layout.STRIKE)
        wait_until("there are 2 strikes", lambda: guard.counters().strikes >= 2)
        assert all(app.wait_dead(60) for app in expendable)
        wait_events(guard, 300)
        strikes = guard.strikes(0)
        assert {each.start_ticks for each in strikes} == {layout.START_UNKNOWN}
        assert {each.rss_pages for each in strikes} == {layout.RSS_UNKNOWN}
        assert all(one.pid != next_one.pid for one, next_one in pairwise(strikes))
        assert {each.pid for each in strikes} == {app.pid for app in expendable}
        assert all(app.is_alive() for app in kept)
        assert start_ticks(kept[0].pid)

"""What the steward has of a program in the kernel: all of it, or nothing is left open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.core.config import MonitorConfig
from lmkd_py.daemon.steward.killers import kernel_strike
from lmkd_py.daemon.steward.killers.kernel_strike import load_kernel_strike
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.bpf import AttachedProgram, layout
from lmkd_py.kernel.sensing.triggers.bpf_kick import KickWatch
from tests.daemon.steward.killers.bench import PaperStrike


def test_a_program_that_cannot_be_mapped_leaves_no_descriptor_and_no_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place of its maps are descriptors that the kernel maps nowhere."""
    before = set(os.listdir("/proc/self/fd"))
    unpinned: list[str] = []
    loaded = AttachedProgram(1, eventfd(), eventfd(), eventfd(), eventfd(), (eventfd(),), ())
    monkeypatch.setattr(kernel_strike, "load_apart", lambda *_: loaded)
    monkeypatch.setattr(kernel_strike, "unpin", unpinned.append)
    with pytest.raises(OSError, match="No such device"):
        load_kernel_strike(str(tmp_path), MonitorConfig(), 7)
    assert set(os.listdir("/proc/self/fd")) == before
    assert [path[-2:] for path in unpinned] == ["-7"]


@pytest.fixture
def strike() -> Iterator[PaperStrike]:
    made = PaperStrike(MonitorConfig(), 1)
    made.arm(1, 2)
    yield made
    made.stand_down()


def kick(strike: PaperStrike, at_ns: int) -> None:
    """As the program does: the word, then the ring."""
    words = strike.guard.words
    assert words[layout.ACK] >= words[layout.KICK], "no other kick comes before the answer"
    words[layout.KICK] = at_ns
    produce(strike)


def produce(strike: PaperStrike) -> None:
    produced = strike.guard._produced
    produced[0] += 16


def is_readable(strike: PaperStrike) -> bool:
    return strike.guard._consumed[0] != strike.guard._produced[0]


def test_a_kick_that_nobody_answered_stays_so_when_a_handover_is_carried_out_again(strike: PaperStrike) -> None:
    """Each repetition began the time anew in which an answer is awaited, so a killer that hangs was not struck for."""
    kick(strike, 5)
    strike.arm(1, 2)
    assert strike.unanswered()


def test_another_killer_has_the_whole_time_for_its_answer_and_is_woken(strike: PaperStrike) -> None:
    kick(strike, 5)
    strike.arm(1, 3)
    assert not strike.unanswered()
    assert is_readable(strike)


@pytest.mark.parametrize("word", [layout.ARMED, layout.LAPSED])
def test_after_a_lapse_the_same_killer_has_the_whole_time_for_its_answer(strike: PaperStrike, word: int) -> None:
    kick(strike, 5)
    strike.guard.words[word] = layout.OFF if word == layout.ARMED else 9
    strike.arm(1, 2)
    assert not strike.unanswered()
    assert strike.guard.words[layout.LAPSED] == 0
    assert strike.is_armed


def test_the_answer_to_a_kick_that_is_forgotten_brings_it_not_back(strike: PaperStrike) -> None:
    """It did, with the ring quiet: nobody was woken to answer it, so the kernel struck."""
    kick(strike, 5)
    strike.arm(1, 3)
    KickWatch(strike.guard).fired()
    assert not strike.unanswered()
    assert not is_readable(strike)
    kick(strike, 6)
    assert strike.unanswered()
    assert is_readable(strike)
    KickWatch(strike.guard).fired()
    assert not strike.unanswered()
    assert not is_readable(strike)


def test_a_kick_that_comes_while_a_forgotten_one_is_answered_wakes_the_killer(strike: PaperStrike) -> None:
    kick(strike, 5)
    strike.arm(1, 3)
    none = strike.guard.kick()
    kick(strike, 6)
    strike.guard.answer(none)
    assert strike.unanswered()
    assert is_readable(strike)

"""Triggers that the kernel takes away under an armed killer: told, stood in for, and armed again."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, DomainConfig, DomainKind, MonitorConfig, PolicyConfig
from lmkd_py.core.notes import ArmedTrigger, Note
from lmkd_py.core.vocabulary import ABSENT, Level, NoteKind, WakeupKind
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.killer.stand_in import SAMPLE_MS, StandIn
from lmkd_py.daemon.steward import backoff
from lmkd_py.daemon.steward.backoff import Backoff
from lmkd_py.daemon.steward.killers.lost_triggers import LostTriggers, openable
from lmkd_py.kernel.acting.poll import POLLERR, POLLIN, POLLPRI
from lmkd_py.kernel.sensing.perf import EventCounter
from lmkd_py.kernel.sensing.triggers import NAMES, is_broken, mask_of, names_in
from lmkd_py.kernel.sensing.triggers.oom_control import OomEvents
from lmkd_py.kernel.sensing.triggers.trigger import COUNTER_FILE, EVENTFD, LEVEL_FD, Trigger, fired
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.kernel.trees import ARM_V2, TREES
from tests.support import needs_cgroup, require

Start = Callable[..., Daemon]


@pytest.fixture
def words() -> memoryview:
    """Control words that no killer shares."""
    return memoryview(bytearray(layout.REPORT_OFFSET)).cast("I")


def switch_pressure(board: Sandbox, word: str) -> None:
    Path(board.place.psi, "cgroup.pressure").write_text(word)


@needs_cgroup
def test_triggers_that_the_kernel_takes_away_are_told_and_armed_again(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    require((Path(board.place.psi) / "cgroup.pressure").exists(), "a kernel with cgroup.pressure (Linux 6.1)")
    daemon = start(board, triggers={"vmpressure": 0}, strike={"enabled": 0})
    before = daemon.status()
    assert before.lost_triggers == ()
    former = daemon.killer_pid
    switch_pressure(board, "0")
    try:
        wait_until("it says so", lambda: daemon.status().lost_triggers == ("psi some", "psi full"))
        said = daemon.status()
        assert said.armed
        assert said.killer_pid == former
        assert not [trigger for trigger in said.triggers if trigger.name in ("psi some", "psi full")]
        awaited = [note.subject for note in said.notes if note.kind == NoteKind.TRIGGER_AWAITED]
        assert awaited == ["psi some", "psi full"]
    finally:
        switch_pressure(board, "1")
    wait_until("they are armed again", lambda: daemon.status().lost_triggers == (), 90)
    after = daemon.status()
    daemon.killer_pid = after.killer_pid
    assert (after.triggers, after.config_generation) == (before.triggers, before.config_generation)
    assert daemon.stop() == 0
    assert daemon.process.stderr is not None
    said_lines = daemon.process.stderr.read().splitlines()
    assert next(line for line in said_lines if "psi full" in line).startswith("lmkd-py: psi full: ")
    trace = Trace(tmp_path)
    assert sorted(note.number for note in trace.noted("trigger-lost")) == [0, 1]
    assert [note.number for note in trace.noted("trigger-armed")] == [0, 1]
    assert len(trace.headers) == 2
    assert any(record.snapshot.kind == WakeupKind.POLL for record in trace.records)
    trace.assert_replays()


@needs_cgroup
@pytest.mark.slow
def test_a_killer_forked_without_a_trigger_that_was_there_samples_in_its_place(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    require((Path(board.place.psi) / "cgroup.pressure").exists(), "a kernel with cgroup.pressure (Linux 6.1)")
    daemon = start(board, triggers={"vmpressure": 0}, strike={"enabled": 0})
    former = daemon.killer_pid
    switch_pressure(board, "0")
    try:
        wait_until("they are lost", lambda: daemon.status().lost_triggers)
        os.kill(former, 9)
        wait_until("another one is live", lambda: len(Trace(tmp_path).noted("handover")) == 1)
        daemon.killer_pid = daemon.status().killer_pid
        assert daemon.status().lost_triggers == ("psi some", "psi full")
        with EventCounter(("syscalls:sys_enter_preadv2",), daemon.killer_pid) as reads:
            wait_until("it samples", lambda: sum(reads.read()))
    finally:
        switch_pressure(board, "1")
    wait_until("they are armed again", lambda: daemon.status().lost_triggers == (), 90)
    daemon.killer_pid = daemon.status().killer_pid
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    _, second, third = (note.monotonic_ns // 1_000_000 for note in trace.noted("killer-started"))
    polls = [record for record in trace.records if second <= record.snapshot.now_ms <= third]
    assert {record.snapshot.kind for record in polls} == {WakeupKind.POLL}


@needs_cgroup
def test_a_new_config_for_the_same_memory_does_not_forget_what_is_lost(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    require((Path(board.place.psi) / "cgroup.pressure").exists(), "a kernel with cgroup.pressure (Linux 6.1)")
    daemon = start(board, triggers={"vmpressure": 0}, strike={"enabled": 0})
    switch_pressure(board, "0")
    try:
        wait_until("they are lost", lambda: daemon.status().lost_triggers)
        changed = board.monitor_config(
            triggers={"vmpressure": 0, "psi_some_stall_ms": 80, "psi_full_stall_ms": 0}, strike={"enabled": 0}
        )
        board.write_root(str(tmp_path), Config(PolicyConfig(), changed))
        os.kill(daemon.pid, signal.SIGHUP)
        wait_until("the new config is in force", lambda: daemon.status().config_generation == 2)
        daemon.killer_pid = daemon.status().killer_pid
        wait_until("it says what it still wants", lambda: daemon.status().lost_triggers == ("psi some",))
    finally:
        switch_pressure(board, "1")
    wait_until("it is armed again", lambda: daemon.status().lost_triggers == (), 90)
    daemon.killer_pid = daemon.status().killer_pid
    assert [trigger.name for trigger in daemon.status().triggers if trigger.name.startswith("psi ")][:1] == ["psi some"]
    assert daemon.stop() == 0


# -- the killer's side --------------------------------------------------------------------------------------------


def test_while_a_trigger_is_lost_a_sample_is_due_every_second(words: memoryview) -> None:
    stand_in = StandIn(words, 1 << 3)
    assert (stand_in.wait_ms(-1, 5000), stand_in.take_due(5000)) == (-1, False)
    stand_in.lose(1 << 3)
    assert words[layout.BROKEN] == 1 << 3
    assert [stand_in.wait_ms(-1, now) for now in (5000, 5400)] == [0, 0]
    assert stand_in.take_due(5000)
    assert [stand_in.wait_ms(-1, now) for now in (5000, 5400, 6000, 9000)] == [SAMPLE_MS, 600, 0, 0]
    assert stand_in.wait_ms(10, 5400) == 10, "a poll that comes sooner keeps its time"
    due = [now for now in range(5000, 9000, 100) if stand_in.take_due(now)]
    assert due == [6000, 7000, 8000]


def test_a_killer_that_begins_without_a_trigger_samples_from_the_first_second(words: memoryview) -> None:
    words[layout.STAND_IN] = 1
    assert StandIn(words, 1 << 3).wait_ms(-1, 5000) == 0


def test_a_psi_trigger_is_broken_when_poll_says_error() -> None:
    trigger = Trigger("psi some", 0, POLLPRI, 1, LEVEL_FD, "")
    assert not is_broken(trigger, POLLPRI)
    assert is_broken(trigger, POLLPRI | POLLERR)
    assert is_broken(Trigger("oom_control", 0, POLLIN, 2, EVENTFD, ""), POLLERR)


def test_a_counter_file_is_broken_when_it_cannot_be_read_and_not_by_a_change(tmp_path: Path) -> None:
    """kernfs says POLLERR with every change of memory.events; it used to be taken for the end of the trigger."""
    path = tmp_path / "memory.events"
    path.write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n")
    watch = OomEvents(str(path))
    trigger = Trigger("oom events", watch.fd, POLLPRI, int(Level.CRITICAL), COUNTER_FILE, "", watch=watch)
    path.write_text("low 0\nhigh 7\nmax 0\noom 0\noom_kill 0\n")
    assert (fired(trigger), is_broken(trigger, POLLERR | POLLPRI)) == (ABSENT, False)
    path.write_text("low 0\nhigh 7\nmax 1\noom 1\noom_kill 0\n")
    assert (fired(trigger), is_broken(trigger, POLLERR | POLLPRI)) == (int(Level.CRITICAL), False)
    os.close(watch.fd)
    assert (fired(trigger), is_broken(trigger, POLLERR | POLLPRI)) == (ABSENT, True)


def test_every_trigger_has_a_bit_of_its_own() -> None:
    triggers = [Trigger(name, 0, 0, 0, 0, "") for name in ("psi full", "bpf kick", "unheard of")]
    assert mask_of(triggers) == 1 << 1 | 1 << NAMES.index("bpf kick")
    assert names_in(mask_of(triggers)) == ("psi full", "bpf kick")


# -- the steward's side -------------------------------------------------------------------------------------------


def test_it_is_tried_again_after_one_second_and_ever_longer_up_to_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(backoff, "monotonic", lambda: now[0])
    retry = Backoff()
    assert retry.is_due()
    waits = []
    for _ in range(9):
        retry.failed()
        assert not retry.is_due()
        waits.append(retry.left_s())
        now[0] += retry.left_s()
        assert retry.is_due()
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    retry.reset()
    retry.failed()
    assert retry.left_s() == 1


def test_what_cannot_be_opened_is_not_tried_with_another_killer(tmp_path: Path) -> None:
    gone = MonitorConfig(domain=DomainConfig(DomainKind.MEMCG_V1, str(tmp_path / "gone")))
    before = len(os.listdir("/proc/self/fd"))
    assert openable(Config(monitor=gone)) == 0
    shutil.copytree(TREES / ARM_V2 / "dev/cg2/apps.slice", tmp_path / "slice")
    (tmp_path / "slice/apps/memory.pressure").unlink()
    there = MonitorConfig(domain=DomainConfig(DomainKind.CGROUP_V2, str(tmp_path / "slice/apps")))
    assert names_in(openable(Config(monitor=there))) == ("oom events",)
    assert len(os.listdir("/proc/self/fd")) == before


def test_status_leaves_out_the_triggers_that_are_lost_by_their_names(words: memoryview) -> None:
    """A trigger without a bit, or one whose bit follows the kick's, stands in the header where it was opened."""
    names = ("psi some", "unheard of", "bpf kick", "psi full", "psi total")
    header = tuple(ArmedTrigger(name, "") for name in names)
    words[layout.TRIGGERS] = sum(1 << NAMES.index(name) for name in names if name in NAMES)
    words[layout.BROKEN] = 1 << NAMES.index("psi full")
    told: list[Note] = []
    killer = SimpleNamespace(shared=SimpleNamespace(words=words))
    losses = LostTriggers()
    losses.tend(cast(Any, SimpleNamespace(killer=killer, tell=told.append)), lambda _, __: "")
    assert [note.subject for note in told] == ["psi full"]
    assert [trigger.name for trigger in losses.armed_among(header)] == [name for name in names if name != "psi full"]

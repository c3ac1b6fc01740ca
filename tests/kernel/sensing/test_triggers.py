"""Triggers against the real kernel: a limited memory cgroup, a file thrash, an anonymous hog."""

from __future__ import annotations

import errno
import gc
import os
import shutil
from pathlib import Path

import pytest

from lmkd_py.core.config import DomainKind, MonitorConfig, TriggerConfig, with_settings
from lmkd_py.core.snapshot import NO_OUTCOME
from lmkd_py.core.vocabulary import ABSENT, Level, NoteKind, PolicyKind, WakeupKind
from lmkd_py.kernel.acting.syscalls import PollSet, eventfd
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from lmkd_py.kernel.sensing.triggers import TRIGGERS, Trigger, close_triggers, fired, open_triggers
from lmkd_py.kernel.sensing.triggers.oom_control import OomEvents
from lmkd_py.kernel.sensing.triggers.psi import stretch
from tests.kernel.cgroups import HOG, HOLD, THRASH, Pen, fresh_file
from tests.kernel.trees import ARM_V2, MONITORS, TREES
from tests.support import require

PATIENCE_MS = 60_000  # the machine may be busy; a trigger that never comes is the failure, not a late one


def wait_for(triggers: list[Trigger], wanted: str) -> Trigger:
    """Poll until the trigger of this name is ready; others are made quiet on the way."""
    polls = PollSet(len(triggers))
    for slot, trigger in enumerate(triggers):
        polls.set(slot, trigger.fd, trigger.poll_events)
    while True:
        assert polls.wait(PATIENCE_MS) > 0, f"{wanted} never came"
        for slot, trigger in enumerate(triggers):
            if polls.revents(slot):
                assert fired(trigger) == trigger.level
                if trigger.name == wanted:
                    return trigger


def only(triggers: list[Trigger], prefix: str) -> list[Trigger]:
    return [trigger for trigger in triggers if trigger.name.startswith(prefix)]


def stalled_us(domain: Domain) -> int:
    return domain.sample(1, WakeupKind.EVENT, Level.LOW, NO_OUTCOME, 0, 0).psi_mem_some_total_us


@pytest.mark.pressure
@pytest.mark.slow
def test_a_file_thrash_raises_psi_and_vmpressure(tmp_path: Path) -> None:
    with Pen("psi") as pen:
        monitor = with_settings(pen.monitor, triggers={"psi_some_stall_ms": 1, "psi_full_stall_ms": 1})
        domain = open_domain(monitor)
        triggers, missing = open_triggers(monitor, domain)
        assert missing == []
        names = [trigger.name for trigger in triggers]
        levels = ["vmpressure low", "vmpressure medium", "vmpressure critical"]
        assert names == ["psi some", "psi full", *levels, "oom_control"]
        before = stalled_us(domain)
        pen.start(HOLD, "40")
        path = str(fresh_file(tmp_path, 96))
        pen.start(THRASH, path)
        assert wait_for(only(triggers, "psi"), "psi some").level == Level.MEDIUM
        assert wait_for(only(triggers, "psi"), "psi full").level == Level.CRITICAL
        assert wait_for(only(triggers, "vmpressure low"), "vmpressure low").level == Level.LOW
        assert stalled_us(domain) > before
        assert pen.oom_kills() == 0
        close_triggers(triggers)
        domain.close()


@pytest.mark.pressure
def test_an_anonymous_hog_raises_out_of_memory_without_the_kernel_killing(tmp_path: Path) -> None:
    with Pen("oom") as pen:
        domain = open_domain(pen.monitor)
        triggers, missing = open_triggers(pen.monitor, domain)
        assert missing == []
        hog = pen.start(HOG)
        assert wait_for(only(triggers, "oom_control"), "oom_control").level == Level.CRITICAL
        assert wait_for(only(triggers, "vmpressure critical"), "vmpressure critical").level == Level.MEDIUM
        assert hog.poll() is None
        pen.stop(hog)
        assert (pen.oom_kills(), domain.oom_kills()) == (0, 0)
        close_triggers(triggers)
        domain.close()


@pytest.mark.pressure
def test_a_child_cgroup_that_listens_itself_does_not_hide_its_pressure() -> None:
    with Pen("nested") as pen:
        (pen.directory / "inner").mkdir()
        monitor = with_settings(pen.monitor, triggers={"psi_some_stall_ms": 0, "psi_full_stall_ms": 0})
        domain = open_domain(monitor)
        triggers, _ = open_triggers(monitor, domain)
        inner_monitor = with_settings(monitor, domain={"path": str(pen.directory / "inner")})
        inner_domain = open_domain(inner_monitor)
        inner, _ = open_triggers(inner_monitor, inner_domain)
        assert triggers[0].effective.words == f"vmpressure low: hierarchy on {domain.pressure_dir}"
        (pen.directory / "inner" / "memory.limit_in_bytes").write_text(str(32 << 20))
        (pen.directory / "inner" / "memory.oom_control").write_text("1")
        pen.start(HOG, nested="inner")
        wait_for(only(inner, "vmpressure low"), "vmpressure low")
        wait_for(only(triggers, "vmpressure low"), "vmpressure low")
        assert domain.oom_kills() == 0
        close_triggers(triggers + inner)
        inner_domain.close()
        domain.close()


def scanned_pages() -> int:
    """Looked at so far in reclaim for the whole system; a cgroup's own reclaim is not counted here."""
    wanted = {"pgscan_kswapd", "pgscan_direct", "pgscan_khugepaged"}
    counters = (line.split() for line in Path("/proc/vmstat").read_text().splitlines())
    return sum(int(value) for name, value in counters if name in wanted)


@pytest.mark.pressure
def test_a_cgroup_at_its_own_limit_does_not_wake_the_killer_of_the_whole_system() -> None:
    """A window of 512 pages that kswapd has looked at meanwhile is pressure of the system: then it is done again."""
    for number in range(5):
        before = scanned_pages()
        told = whole_system_beside_a_full_cgroup(f"local{number}")
        if told == [ABSENT, ABSENT, ABSENT]:
            return
        assert scanned_pages() > before, told
    require(False, "the machine has reclaim of its own all the time; try when it has memory to spare")


def whole_system_beside_a_full_cgroup(name: str) -> list[int]:
    """What the whole system's triggers have to say once a cgroup has reached its limit."""
    with Pen(name) as pen:
        monitor = MonitorConfig(triggers=TriggerConfig(psi_some_stall_ms=0, psi_full_stall_ms=0))
        whole = open_domain(monitor)
        triggers, missing = open_triggers(monitor, whole)
        assert missing == []
        assert triggers[0].effective.words == f"vmpressure low: local on {whole.pressure_dir}"
        domain = open_domain(pen.monitor)
        inner, _ = open_triggers(pen.monitor, domain)
        pen.start(HOG)
        wait_for(only(inner, "vmpressure critical"), "vmpressure critical")
        wait_for(only(inner, "oom_control"), "oom_control")
        told = [fired(trigger) for trigger in triggers]
        close_triggers(triggers + inner)
        domain.close()
        whole.close()
    return told


def test_an_eventfd_is_quiet_after_fired_until_the_next_event() -> None:
    fd = eventfd()
    trigger = Trigger("test", fd, 1, int(Level.MEDIUM), 1, "test")
    polls = PollSet(1)
    polls.set(0, fd, 1)
    for _ in range(2):
        os.write(fd, (3).to_bytes(8, "little"))
        assert polls.wait(0) == 1
        assert fired(trigger) == Level.MEDIUM
        assert polls.wait(0) == 0
        assert fired(trigger) == ABSENT
    os.close(fd)


def test_closing_triggers_closes_every_descriptor() -> None:
    with Pen("close") as pen:
        gc.collect()  # what former tests left in cycles is not closed in the middle of this one
        before = len(os.listdir("/proc/self/fd"))
        domain = open_domain(pen.monitor)
        triggers, _ = open_triggers(pen.monitor, domain)
        fds = {trigger.fd for trigger in triggers} | {fd for trigger in triggers for fd in trigger.extra_fds}
        assert len(fds) == 10  # two PSI files; three levels and oom_control with an eventfd and a file each
        close_triggers(triggers)
        domain.close()
        domain.close()
        assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("stall_ms", "window_ms", "expected"),
    [(70, 1000, (140, 2000)), (700, 1000, (1400, 2000)), (100, 3000, (133, 4000)), (1, 500, (4, 2000))],
)
def test_a_window_is_stretched_to_a_multiple_of_two_seconds(
    stall_ms: int, window_ms: int, expected: tuple[int, int]
) -> None:
    assert stretch(stall_ms, window_ms) == expected


def test_a_stretched_trigger_says_what_it_was_and_why() -> None:
    with Pen("stretch") as pen:
        monitor = with_settings(pen.monitor, triggers={"vmpressure": 0})
        domain = open_domain(monitor)
        triggers, missing = open_triggers(monitor, domain)
        some = triggers[0]
        if some.stretched:
            assert some.effective.words == "psi some: 140 ms in 2000 ms (stretched from 70/1000: no CAP_SYS_RESOURCE)"
        else:
            assert some.effective.words == "psi some: 70 ms in 1000 ms"
        assert (some.level, triggers[1].level) == (Level.MEDIUM, Level.CRITICAL)
        assert missing == []
        close_triggers(triggers)
        whole = with_settings(monitor, triggers={"psi_window_ms": 2000})
        triggers, _ = open_triggers(whole, domain)
        assert [trigger.stretched for trigger in only(triggers, "psi")] == [0, 0]
        close_triggers(triggers)
        domain.close()


def test_a_threshold_of_zero_is_no_trigger_and_not_missing() -> None:
    with Pen("zero") as pen:
        monitor = with_settings(pen.monitor, triggers={"psi_some_stall_ms": 0, "psi_full_stall_ms": 0, "vmpressure": 0})
        domain = open_domain(monitor)
        triggers, missing = open_triggers(monitor, domain)
        assert [trigger.name for trigger in triggers] == ["oom_control"]
        assert missing == []
        close_triggers(triggers)
        domain.close()


def test_what_cannot_be_registered_is_said_and_does_not_stop_the_rest() -> None:
    with Pen("partly") as pen:
        monitor = with_settings(pen.monitor, domain={"psi_path": ""}, triggers={"psi_some_stall_ms": 70})
        domain = open_domain(monitor)
        triggers, missing = open_triggers(monitor, domain)
        assert [trigger.name for trigger in triggers][-1] == "oom_control"
        assert len(triggers) == 4
        assert [note.subject for note in missing] == ["psi some", "psi full"]
        close_triggers(triggers)
        monitor = with_settings(pen.monitor, triggers={"psi_some_stall_ms": 9000})  # longer than its window
        domain.close()
        domain = open_domain(monitor)
        triggers, missing = open_triggers(monitor, domain)
        (note,) = missing
        assert (note.kind, note.subject, note.errno) == (NoteKind.TRIGGER_REFUSED, "psi some", errno.EINVAL)
        assert len(triggers) == 5
        close_triggers(triggers)
        domain.close()


def test_on_a_captured_tree_nothing_can_be_registered_and_nothing_raises() -> None:
    monitor = MONITORS[ARM_V2]
    domain = open_domain(monitor, str(TREES / ARM_V2))
    domain.pressure_dir = str(TREES / "nowhere")
    domain.psi_memory_path = str(TREES / "nowhere" / "memory.pressure")
    triggers, missing = open_triggers(monitor, domain)
    assert [trigger.name for trigger in triggers] == ["oom events"]
    assert len(missing) == 5
    close_triggers(triggers)
    domain.close()


def test_only_a_moved_oom_count_of_memory_events_is_an_event(tmp_path: Path) -> None:
    path = tmp_path / "memory.events"
    shutil.copy(TREES / ARM_V2 / "dev/cg2/apps.slice/apps/memory.events", path)
    events = OomEvents(str(path))
    assert events.fired() == ABSENT
    path.write_text("low 0\nhigh 760\nmax 12\noom 0\noom_kill 0\n")
    assert events.fired() == ABSENT
    path.write_text("low 0\nhigh 760\nmax 12\noom 1\noom_kill 0\n")
    assert events.fired() == Level.CRITICAL
    assert events.fired() == ABSENT
    path.write_text("")
    assert events.fired() == ABSENT
    events.table.close()


def test_every_source_is_registered_once() -> None:
    assert len({source.NAME for source in TRIGGERS}) == len(TRIGGERS) == 3
    assert MonitorConfig().domain.kind == DomainKind.AUTO


def names(triggers: list[Trigger]) -> list[str]:
    return [trigger.name.partition(" ")[0] for trigger in triggers]


def test_vmpressure_has_no_level_above_medium_where_psi_tells_of_stalls() -> None:
    with Pen("level") as pen:
        for psi, highest in ((pen.monitor.domain.psi_path, Level.MEDIUM), ("", Level.CRITICAL)):
            monitor = with_settings(pen.monitor, domain={"psi_path": psi})
            domain = open_domain(monitor)
            triggers, _ = open_triggers(monitor, domain)
            assert [trigger.level for trigger in only(triggers, "vmpressure")] == [Level.LOW, Level.MEDIUM, highest]
            close_triggers(triggers)
            domain.close()


def test_as_aosp_vmpressure_is_registered_only_where_psi_cannot_be_had() -> None:
    with Pen("aosp") as pen:
        domain = open_domain(pen.monitor)
        triggers, missing = open_triggers(pen.monitor, domain, PolicyKind.AOSP_EXACT)
        assert (names(triggers), missing) == (["psi", "psi", "oom_control"], [])
        close_triggers(triggers)
        # One trigger of PSI that is refused takes the other along.
        monitor = with_settings(pen.monitor, triggers={"psi_full_stall_ms": 9000})
        triggers, missing = open_triggers(monitor, domain, PolicyKind.AOSP_EXACT)
        assert names(triggers) == ["vmpressure", "vmpressure", "vmpressure", "oom_control"]
        assert [trigger.level for trigger in triggers[:3]] == [Level.LOW, Level.MEDIUM, Level.CRITICAL]
        assert [note.subject for note in missing] == ["psi full"]
        close_triggers(triggers)
        domain.close()

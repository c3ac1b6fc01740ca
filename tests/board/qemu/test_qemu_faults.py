"""Allocations of one half of the daemon fail on a board under real pressure: the right ones die, the trace says so."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.contents import Trace
from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.qemu.stage import Guest
from lmkd_py.core.config import Config, MonitorConfig, TraceConfig
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.steps import run_steps
from lmkd_py.wire.record import Record
from tests.board.faults import KINDS, RevivingStage, control, failing
from tests.board.qemu_boards import EARLY, SPARE_SWAP_MIB, ArmBoard, install, push, wide_watermarks, without_boost
from tests.support import in_soak, wait_until

pytestmark = pytest.mark.board
PERCENTS = (20, in_soak(50), 100)
WANTED = 3  # kills while allocations fail
HOG_MIB_PER_S = 24


class Lab:
    """The board, the daemon on it, and what its trace has said so far."""

    def __init__(self, folder: Path) -> None:
        self.board = ArmBoard(folder, "lab")
        self.device = self.board.device()
        without_boost(self.device)
        wide_watermarks(self.device)
        self.service = install(self.device).service
        # The ring holds what a steward without memory cannot file meanwhile.
        push(self.device, Config(EARLY, MonitorConfig(trace=TraceConfig(ring_slots=1024))))
        self.service.start(observe=False)
        self.stage = RevivingStage(self.ask)
        self.collection = Collection(self.device, folder / "traces", self.service.layout.root)
        self.told = 0  # kills of earlier tests
        self.by_kernel = 0  # kills of the kernel's OOM killer in earlier tests

    def ask(self, command: str) -> str:
        return self.device.must(["sh", "-c", command], command).text

    def status(self) -> dict[str, int]:
        found = self.service.status()
        assert found["running"], found
        assert found["armed"], found
        return found

    def register(self, *guests: Guest) -> None:
        """Name them in the registration file, as an activity manager does."""
        procs = f"{self.service.layout.root}/procs"
        lines = "".join(f"{guest.pid} 0 {guest.adj}\n" for guest in guests)
        self.ask(f"printf '{lines}' >{procs}.new && mv {procs}.new {procs}")

    def ready(self) -> dict[str, int]:
        """Everybody lives and is known to the daemon; its status."""
        apps = self.stage.revive()
        self.register(*apps)
        wait_until("all are candidates", lambda: self.status()["candidates"] >= len(apps))
        self.told, self.by_kernel = len(self.kills()), self.stage.oom_kills()
        return self.status()

    def lives(self, pid: int) -> bool:
        return self.ask(f"cut -d ')' -f 2 /proc/{pid}/stat 2>/dev/null | cut -c 2; true") not in ("", "Z", "X")

    def trace(self) -> Trace:
        run_steps(COLLECT, self.collection)
        (folder,) = {path.parent for path in self.collection.folder.glob("*/*.lmkt")}  # of one boot
        return read_trace(folder)

    def kills(self) -> list[Record]:
        trace = self.trace()
        return [kill.record for kill in trace.kills]

    def dead(self) -> list[Guest]:
        living = self.stage.living(self.stage.apps)
        return [guest for guest in self.stage.apps if guest not in living]

    def press(self, kills: int = WANTED) -> None:
        """Real pressure on the whole board, until so many of the applications have died of it."""
        hog = self.stage.grow_hog(mib_per_s=HOG_MIB_PER_S, spare_mib=SPARE_SWAP_MIB)
        try:
            wait_until(f"{kills} are dead", lambda: len(self.dead()) >= kills or not self.stage.living((hog,)))
        finally:
            self.ask(f"kill -9 {hog.pid} 2>/dev/null; true")
        assert len(self.dead()) >= kills, "the one that caused it died too early"

    def look(self) -> list[Record]:
        """The kills since the last look are exactly the dead of the applications, the most expendable first."""

        def told() -> set[int]:
            return {record.outcome.pid for record in self.kills()[self.told :]}

        wait_until("the dead in the trace are the dead", lambda: told() == {guest.pid for guest in self.dead()})
        fresh = self.kills()[self.told :]
        self.told += len(fresh)
        assert len({record.outcome.pid for record in fresh}) == len(fresh)
        adjs = [record.outcome.adj for record in fresh]
        assert adjs == sorted(adjs, reverse=True)
        # Nobody who lives was more expendable than the last who died.
        assert max(guest.adj for guest in self.stage.living(self.stage.apps)) <= adjs[-1]
        assert self.stage.oom_kills() == self.by_kernel
        trace = self.trace()
        assert not trace.losses
        assert not trace.undeclared
        return fresh


@pytest.fixture(scope="module")
def guarded(lab_kernel: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("lab"))
    try:
        yield made
    finally:
        made.board.close()


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_meant_finds_no_memory_and_nobody_else(guarded: Lab, kind: str, percent: int) -> None:
    spared, meant = control(guarded.ask, kind, percent)
    assert spared == (0, 0)
    failed, otherwise = meant
    assert otherwise == 0
    assert failed == 100 if percent == 100 else 0 < failed < 100


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_killer_that_finds_no_memory_kills_the_right_ones(guarded: Lab, kind: str, percent: int) -> None:
    killer = guarded.ready()["killer_pid"]
    with failing(guarded.ask, kind, percent, killer) as aimed:
        guarded.press()
        assert aimed.holds()
        failed = aimed.failed()
    fresh = guarded.look()
    assert guarded.status()["killer_pid"] == killer
    assert {record.killer_pid for record in fresh} == {killer}
    assert {record.outcome.attempts for record in fresh} == {1}
    if kind == "failslab":
        # The one allocation that it asks for, by reading /proc/vmstat, did fail; what it decides on without is enough.
        assert failed > 0
        assert percent < 100 or {record.snapshot.direct_progress for record in fresh} == {ABSENT}


@pytest.mark.parametrize("percent", PERCENTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_steward_that_finds_no_memory_is_no_hindrance_and_catches_up(guarded: Lab, kind: str, percent: int) -> None:
    before = guarded.ready()
    steward, killer = before["steward_pid"], before["killer_pid"]
    with failing(guarded.ask, kind, percent, steward) as aimed:
        late = guarded.stage.add(f"late-{percent}", 0)
        guarded.register(*guarded.stage.apps, late)
        guarded.press()
        survived = guarded.lives(steward)
        assert kind == "fail_page_alloc" or aimed.failed() > 0  # pages it needs more seldom
    if not survived:
        guarded.service.start(observe=False)  # as init would
    wait_until("it answers", lambda: guarded.service.status()["running"])
    now = guarded.status()
    assert (now["steward_pid"] == steward) == survived
    assert (now["killer_pid"] == killer) == survived
    wait_until("it has heard of everybody", lambda: late.pid in {pid for pid, _ in guarded.trace().processes})
    guarded.ask(f"kill -9 {late.pid}")
    assert {record.killer_pid for record in guarded.look()} == {killer}


def test_a_steward_that_cannot_fork_for_want_of_memory_has_a_killer_as_soon_as_there_is_some(guarded: Lab) -> None:
    before = guarded.ready()
    steward, killer = before["steward_pid"], before["killer_pid"]
    with failing(guarded.ask, "failslab", 100, steward) as aimed:
        guarded.ask(f"kill -9 {killer}")
        wait_until("it has tried in vain", lambda: aimed.failed() > 10)
        assert guarded.lives(steward)
    wait_until("another one is live", lambda: guarded.service.status().get("killer_pid") not in (None, killer))
    now = guarded.status()
    assert now["steward_pid"] == steward
    guarded.press()
    assert {record.killer_pid for record in guarded.look()} == {now["killer_pid"]}


def test_a_steward_that_died_without_memory_is_followed_by_one_that_takes_the_orphan_over(guarded: Lab) -> None:
    before = guarded.ready()
    steward, killer = before["steward_pid"], before["killer_pid"]
    with failing(guarded.ask, "fail_page_alloc", 100, steward):
        guarded.ask(f"kill -9 {steward}")
        guarded.press()
    assert guarded.lives(killer)
    guarded.service.start(observe=False)
    assert not guarded.lives(killer)
    assert {record.killer_pid for record in guarded.look()} == {killer}
    guarded.ready()
    guarded.press()
    assert {record.killer_pid for record in guarded.look()} == {guarded.status()["killer_pid"]}


def test_all_that_was_decided_without_memory_is_decided_again_from_the_trace(guarded: Lab) -> None:
    trace = guarded.trace()
    result = replay(trace)
    assert result.agrees
    assert result.kills == guarded.told
    assert any(traced.record.snapshot.direct_progress == ABSENT for traced in trace.records)

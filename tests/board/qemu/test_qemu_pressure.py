"""The whole of an emulated board under pressure, with one kind of trigger alone: stalls, or reclaim."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.qemu.stage import Stage
from lmkd_py.cli.demo_check import in_order
from lmkd_py.core.config import Config, MonitorConfig, StrikeConfig, TriggerConfig
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.steps import run_steps
from lmkd_py.wire.header import OOM_KILLS
from tests.board.qemu_boards import EARLY, STATE_ROOT, ArmBoard, install, push, without_boost
from tests.support import wait_until

pytestmark = [pytest.mark.board, pytest.mark.alone]
PATIENCE_S = 300.0
ALONE = {
    "psi": MonitorConfig(triggers=TriggerConfig(vmpressure=0), strike=StrikeConfig(enabled=0)),
    "vmpressure": MonitorConfig(
        triggers=TriggerConfig(psi_some_stall_ms=0, psi_full_stall_ms=0), strike=StrikeConfig(enabled=0)
    ),
}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmBoard]:
    """One boot for both; what is left of the first crowd is ended before the second."""
    made = ArmBoard(tmp_path_factory.mktemp("pressure"))
    install(made.device())
    yield made
    made.close()


@pytest.mark.parametrize("kind", ALONE)
def test_one_kind_of_trigger_alone_answers_a_shortage_of_the_whole_board(
    board: ArmBoard, tmp_path: Path, kind: str
) -> None:
    device = board.device()
    without_boost(device)
    service = install(device).service
    push(device, Config(EARLY, ALONE[kind]))
    service.start(observe=False)
    stage = Stage(lambda command: device.must(["sh", "-c", command], command).text)
    apps = stage.populate()
    by_kernel = stage.oom_kills()
    hog = stage.grow_hog()
    stalls: list[float] = []  # PSI while the hog lives

    def hog_is_dead() -> bool:
        stalls.append(stage.psi_some_pct())
        return not stage.living((hog,))

    wait_until("the hog is dead", hog_is_dead, PATIENCE_S)
    highest = max(stalls)

    def stall_is_over() -> bool:
        time.sleep(1)  # each question is work for the board
        return stage.psi_some_pct() <= highest / 4

    wait_until(f"PSI is at most a quarter of {highest} %", stall_is_over, PATIENCE_S, stage.psi_some_pct)
    assert highest > 0
    living = stage.living(apps)
    # One kind of trigger may tell of a shortage after the kernel's OOM killer has acted; PSI with its window of 1 s
    # does on a quiet host. Each death is the killer's, or one of those that kernel and trace count; both may take the
    # same victim.
    taken = stage.oom_kills() - by_kernel
    service.stop()
    for guest in living:
        device.must(["kill", "-9", str(guest.pid)], f"ending {guest.name}")

    collection = run_steps(COLLECT, Collection(device, tmp_path, STATE_ROOT))
    trace = read_trace(max(collection.folder.glob("*/*.lmkt")))
    # The totals are read beside the kernel's own events; they are no trigger.
    triggers = [each for each in trace.headers[0].triggers if each.name != "psi total"]
    assert {each.name.split()[0] for each in triggers} == {kind}
    if kind == "psi":  # root of a whole board may have a window of a second; it is not stretched to two
        assert [each.settings for each in triggers] == ["70 ms in 1000 ms", "700 ms in 1000 ms"]
    woken = [traced.record for traced in trace.records if traced.record.trigger >= 0]
    assert woken, "only the poll timer woke it"
    victims = [kill.record.outcome for kill in trace.kills]
    assert len(victims) >= 3
    assert in_order([victim.adj for victim in victims])
    dead = {guest.pid for guest in (*apps, hog)} - {guest.pid for guest in living}
    told = {each.pid for each in victims}
    assert told <= dead
    assert len(dead - told) <= taken
    counts = [note.number for note in trace.notes if note.kind == OOM_KILLS]
    assert (counts[0], counts[-1]) == (by_kernel, by_kernel + taken)
    assert not trace.losses
    assert not trace.undeclared
    assert replay(trace).agrees

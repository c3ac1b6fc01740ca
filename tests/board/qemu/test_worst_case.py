"""The worst case end to end, on emulated ARM boards: no page to be had, the steward stuck, and the killer as well."""

from __future__ import annotations

import pytest

from lmkd_py.analysis.contents import Trace
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.qemu import modules
from lmkd_py.core.config import Config, MonitorConfig, StrikeConfig, TraceConfig, TriggerConfig
from lmkd_py.core.vocabulary import Action
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.steps import run_steps
from tests.board.module_boards import LAYER, ModuleBoard, Said
from tests.board.qemu_boards import EARLY, STATE_ROOT, push, without_boost

pytestmark = [pytest.mark.board, pytest.mark.parametrize("arm", ["board"], indirect=True)]


def worst(arm: ModuleBoard, mode: str) -> tuple[Said, Trace]:
    """The board guarded, its applications, and the end of the world."""
    arm.must(f"[ -c /dev/lmkd_drain ] || insmod /tmp/{modules.TEST}")
    answer_ms = 500 if mode == "killer" else 20  # an emulated CPU is slow; one that is stopped does not get faster
    without_boost(arm.device)
    push(
        arm.device,
        Config(
            EARLY,
            MonitorConfig(
                trace=TraceConfig(ring_slots=4096),
                triggers=TriggerConfig(kick_reclaims=1),
                strike=StrikeConfig(answer_ms=answer_ms),
            ),
        ),
    )
    stage = arm.board.stage()
    apps = stage.populate()
    arm.service.start(observe=False)  # only now: a steward that is stuck finds nobody any more
    status = arm.service.status()
    try:
        pids = [guest.pid for guest in apps]
        said = arm.answers("worst", mode, status["steward_pid"], status["killer_pid"], stage.hog_mib, *pids)
    finally:
        arm.must(f"kill -9 {' '.join(str(guest.pid) for guest in apps)}; true")
        arm.service.stop()
    collection = Collection(arm.device, arm.folder / mode, STATE_ROOT)
    run_steps(COLLECT, collection)
    path = sorted(collection.folder.glob("*/*.lmkt"))[-1]
    return said, read_trace(path)


def test_with_all_memory_taken_and_the_steward_stuck_the_killer_kills(arm: ModuleBoard) -> None:
    said, trace = worst(arm, "killer")
    print(said)
    since, until = int(said["since"][0]), int(said["until"][0])
    records = [traced.record for traced in trace.records]
    meanwhile = [each for each in records if since <= each.snapshot.now_ms <= until]
    kills = [each for each in meanwhile if each.outcome.pid]
    assert kills
    assert kills[0].outcome.pid in map(int, said["dead"])
    # Its budget: whenever policy says kill, that very wakeup strikes, and never waits for memory.
    assert all(each.outcome.pid for each in meanwhile if each.judgement.action == Action.KILL)
    print("wake-up to signal, us:", *(sum(each.timings[1:]) // 1000 for each in kills))
    assert said["reclaims"] == ("0",)
    assert said["oom_kills"] == ("0",)
    assert all(each.layers & LAYER for each in meanwhile)
    assert int(said["ioctls"][0]) >= 2 * len({each.timings.woke_ns for each in meanwhile}) - 1


def test_with_the_killer_stopped_as_well_the_kernel_strikes(arm: ModuleBoard) -> None:
    said, trace = worst(arm, "kernel")
    print(said)
    assert said["hog"][0] in said["dead"]
    assert said["oom_kills"] == ("0",)
    assert int(said["hog"][0]) in {strike.pid for strike in trace.strikes}

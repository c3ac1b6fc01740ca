"""The outcome suite on a real board: two cells once, each from a snapshot on. Who is faster is no question."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.scenario import APPS
from lmkd_py.board.workloads.catalog import WORKLOADS
from lmkd_py.cli.demo_check import in_order
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.steps import run_steps
from tests.board.qemu_boards import STATE_ROOT
from tests.support import in_soak
from tools.outcome.field import Field
from tools.outcome.killers import EARLYOOM, KERNEL, NOHANG, STEADY, Killer
from tools.outcome.report import report

pytestmark = [pytest.mark.board, pytest.mark.alone]


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Field:
    """One boot for all."""
    return Field(tmp_path_factory.mktemp("outcome"), "board", print)


def assert_measured(run: dict[str, Any], killer: Killer) -> None:
    """Everything is there and adds up, however slow the board was."""
    assert len(run["deaths"]) + len(run["living"]) == len(APPS) + 1
    assert all(number in (signal.SIGKILL, signal.SIGTERM) for _, _, _, number, *_ in run["deaths"])
    by = [by for *_, by in run["deaths"]]
    assert by.count("kernel") <= run["oom_kills"]  # its log is a ring
    assert "killer" not in by or killer.marker or run["oom_kills"] > by.count("kernel")
    assert 0 <= run["full_s"] <= run["some_s"] <= run["wall_s"]
    assert 0 <= run["progress"]["served_mib"] <= run["progress"]["wanted_mib"]
    assert run["refault_anon"] >= 0
    line = {"workload": "game", "killer": killer.name, "profile": "board", "run": 1, "commit": "", "load": [0.0], **run}
    assert f"| {killer.name} | 1 |" in report([line])


def test_ours_meets_the_game_and_its_trace_agrees_with_the_deaths(field: Field, tmp_path: Path) -> None:
    with field.ground() as ground:
        run = ground.run(STEADY, "game", seed=1)
        collection = run_steps(COLLECT, Collection(ground.device, tmp_path, STATE_ROOT))
    assert_measured(run, STEADY)
    assert run["cpu_ms"] == sum(run["cpu_ms_each"]) > 0
    assert 0 < run["pss_kb"] < run["rss_kb"]
    files = list(collection.folder.glob("*/*.lmkt"))
    assert run["trace_bytes"] == sum(file.stat().st_size for file in files)
    trace = read_trace(files[0].parent)
    told = {pid for pid, _ in trace.victims}
    dead = {pid: by for _, pid, _, _, _, by in run["deaths"]}
    # Daemon and kernel may take the same victim: each death is in the trace, or one that the kernel tells of.
    assert told <= set(dead)
    assert {pid for pid, by in dead.items() if by == "killer"} <= told
    # The order of strikes; on a busy host deaths may come in another one.
    assert in_order([kill.record.outcome.adj for kill in trace.kills])


@pytest.mark.parametrize("killer", [KERNEL, in_soak(EARLYOOM), in_soak(NOHANG)], ids=lambda killer: killer.name)
def test_another_killer_meets_the_same_game(field: Field, killer: Killer) -> None:
    run = field.run(killer, "game", seed=1)
    assert_measured(run, killer)
    assert bool(run["rss_kb"]) == bool(killer.marker)
    assert run["trace_bytes"] == 0
    assert not killer.package or field.versions[killer.package]


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "game"])
def test_a_workload_comes_to_its_end_under_the_kernel_alone(field: Field, name: str) -> None:
    run = field.run(KERNEL, name, seed=1)
    assert run["deaths"] or run["done_s"], "nobody died, and the one in front does not have all it wanted"
    assert not [name for name, *_, by in run["deaths"] if by == "itself"]
    line = {"workload": name, "killer": "kernel", "profile": "board", "run": 1, "commit": "", "load": [0.0], **run}
    assert f"### {name} on board" in report([line])

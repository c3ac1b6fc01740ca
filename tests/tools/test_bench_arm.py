"""The bench on emulated ARM boards: what counts as a wrong kill, and one round of it with every peer for real."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkd_py.board.scenario import APPS
from tests.board.qemu_boards import EARLY
from tests.support import in_soak
from tools.bench.arm import OURS, PEERS, ArmPeers, Killer, Outcome, report

NOTHING = Outcome((), (), True, 30.0, 10.0, 14.0, 0, 1000, True, 2, 80, 20_000, 12_000)


def test_a_kill_is_wrong_while_somebody_more_expendable_lives() -> None:
    right = NOTHING._replace(deaths=(("a", 900, 9, 1.0), ("b", 800, 9, 9.0)), living=(("c", 800), ("d", 0)))
    assert right.wrong == []
    assert right._replace(living=(("c", 801),)).wrong == ["b"]
    assert right._replace(deaths=(("b", 800, 9, 1.0), ("a", 900, 9, 9.0))).wrong == ["b"]
    assert right._replace(deaths=(("b", 800, 9, 1.0), ("a", 900, 9, 1.1))).wrong == []  # struck first, slower to die
    assert NOTHING._replace(deaths=(("game-0", 0, 9, 1.0),), living=(("c", 100),)).wrong == ["game-0"]


def test_nobody_has_recovered_whose_game_never_got_its_memory_or_whose_stalls_went_on() -> None:
    assert NOTHING.recovery_s == 4.0
    assert NOTHING._replace(done_s=0.0).recovery_s == -1.0
    assert NOTHING._replace(calm=False).recovery_s == -1.0


def test_the_table_has_medians_and_says_what_did_not_recover() -> None:
    worse = NOTHING._replace(calm=False, system_major_faults=5000, oom_kills=2)
    better = NOTHING._replace(last_stall_s=11.0)
    nobody = NOTHING._replace(rss_kb=0, pss_kb=0, calm=False)
    lines = report([("one 1.0", [worse, NOTHING, better]), ("two", [nobody])], "a board").splitlines()
    assert lines[2] == "| one 1.0 | 3 | 0 | 0 | 0 | 2, 2.5 | 1,000, 2 | 80 | 20.0 / 12.0 |"
    assert lines[3] == "| two | 1 | 0 | 0 | 0 | 0, - | 1,000, - | - | - |"


@pytest.mark.board
@pytest.mark.parametrize("peers", [PEERS[:1], in_soak(PEERS)], ids=["one", "all"])
def test_ours_and_debians_killers_meet_the_same_game_on_one_board(tmp_path: Path, peers: tuple[Killer, ...]) -> None:
    said: list[str] = []
    board = ArmPeers(tmp_path, "board", said.append, EARLY)
    try:
        found = {killer.name: board.run(killer) for killer in (OURS, *peers)}
        versions = {killer.name: board.version(killer) for killer in peers}
    finally:
        board.close()
    print(report([(name, [outcome]) for name, outcome in found.items()], f"one round; {versions}"))
    assert all(versions.values()), versions
    for name, outcome in found.items():
        assert outcome.killer_runs, f"{name} did not outlive the shortage, or had processes come and go"
        assert outcome.rss_kb > 0
        assert len(outcome.deaths) + len(outcome.living) == len(APPS) + 1
        assert outcome.deaths, f"{name} killed nobody"
    ours = found["lmkd-py"]
    # The kernel's OOM killer may take the game in the very end, when nobody above adj 200 is left.
    assert ours.oom_kills <= 1
    assert ours.wrong == [] or (ours.wrong, ours.oom_kills) == (["game-0"], 1)

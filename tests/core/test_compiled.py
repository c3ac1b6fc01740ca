"""core stays such that numba compiles it unchanged: tuning runs millions of decisions of the same source."""

from __future__ import annotations

import importlib.util
import random
from typing import Any

import pytest

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import judge
from lmkd_py.core.decision import Judgement
from lmkd_py.core.snapshot import Snapshot
from lmkd_py.core.state import PolicyState
from lmkd_py.core.vocabulary import Action, KillReason, PolicyKind, WakeupKind
from tests.support import ORACLE_CASES, require
from tools.oracle import daemon
from tools.oracle.case import read_cases
from tools.oracle.daemon import Daemon

from .steady_board import MIB, Board

BATCH = 50_000


@pytest.mark.slow
@pytest.mark.all_suite
def test_the_compiled_source_judges_the_recorded_cases_like_the_interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    require(importlib.util.find_spec("numba"), "numba is not here: python3 -m tools.setup all installs it")
    # Not above: trixie's Python, which collects this file too, has no numpy.
    from .compiled import as_array, as_result, as_row, compiled_rows

    asked: list[tuple[int, ...]] = []
    answered: list[tuple[int, ...]] = []

    def listening(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Judgement:
        judgement = judge(snapshot, state, config)
        asked.append(as_row(snapshot, state, config))
        answered.append(as_result(judgement))
        return judgement

    def compare(rows: Any) -> int:
        count = len(asked)
        different = (rows(as_array(asked)) != as_array(answered)).any(axis=1)
        assert not different.any(), asked[int(different.argmax())]
        asked.clear()
        answered.clear()
        return count

    rows = compiled_rows()
    judgements = 0
    monkeypatch.setattr(daemon, "judge", listening)
    for kind in PolicyKind:
        for case in read_cases(ORACLE_CASES):
            Daemon(case, kind).run()
            if len(asked) >= BATCH:
                judgements += compare(rows)
    judgements += compare(rows)
    assert judgements > 1_400_000


@pytest.mark.slow
@pytest.mark.all_suite
def test_the_compiled_source_judges_like_the_interpreted_when_room_and_stall_come_and_go() -> None:
    require(importlib.util.find_spec("numba"), "numba is not here: python3 -m tools.setup all installs it")
    from .compiled import as_array, as_result, as_row, compiled_rows

    asked: list[tuple[int, ...]] = []
    answered: list[tuple[int, ...]] = []
    dice = random.Random(7)
    board = Board()
    for _ in range(BATCH):
        before, outcome = board.state, board.outcome
        kind = dice.choice((WakeupKind.EVENT, WakeupKind.POLL, WakeupKind.POLL))
        free_kb, swap_free_kb = dice.randrange(16 * MIB), dice.choice((0, dice.randrange(192 * MIB)))
        stored_kb, used_kb = dice.choice(((-1, -1), (90 * MIB, dice.randrange(90 * MIB)), (5, 5)))
        on_zram_kb, limit_kb = dice.choice((-1, 0, 100 * MIB, 192 * MIB)), dice.choice((-1, 60 * MIB))
        judgement = board.stall(
            dice.randrange(60), dice.randrange(1200), dice.choice((10, 100, 1000)), kind=kind, mem_free_kb=free_kb,
            swap_free_kb=swap_free_kb, zram_stored_kb=stored_kb, zram_used_kb=used_kb, victim_alive=dice.randrange(3),
            zram_swap_kb=on_zram_kb, zram_limit_kb=limit_kb,
        )  # fmt: skip
        asked.append(as_row(board.snapshot._replace(outcome=outcome), before, board.config))
        answered.append(as_result(judgement))
        if judgement.action == Action.KILL and dice.randrange(4):
            board.strike(
                dice.randrange(9000), swap_pages=dice.randrange(-1, 9000), shared_pages=dice.randrange(-1, 900)
            )
    different = (compiled_rows()(as_array(asked)) != as_array(answered)).any(axis=1)
    assert not different.any(), asked[int(different.argmax())]
    reasons = {row[Judgement._fields.index("reason")] for row in answered}
    assert reasons == {KillReason.NONE, KillReason.EXHAUSTED, KillReason.STALLED}

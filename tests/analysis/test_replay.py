from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lmkd_py.analysis.replay import Difference, replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.vocabulary import Level, PolicyKind, WakeupKind
from lmkd_py.wire.record import LeftOut, Record
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write
from tests.core.values import make_candidate
from tests.wire.values import RECORDS

CONFIG = Config()


def differences(path: Path, *records: Record, config: Config = CONFIG) -> tuple[Difference, ...]:
    return replay(read_trace(write(path / "0001.lmkt", header(config), *records))).differences


def killing() -> list[Record]:
    """A calm wakeup, a kill, the poll after it."""
    killer = PaperKiller()
    killer.candidates = (make_candidate(71, 900, age=2), make_candidate(72, 900, age=1), make_candidate(73, 800))
    calm = killer.wakeup(kswapd_progress=101)
    kill = killer.wakeup(**LOW_MEM, kswapd_progress=102)
    assert kill.outcome.pid == 72  # of equals the one registered first
    return [calm, kill, killer.wakeup(kswapd_progress=103)]


def test_a_recorded_run_replays_without_a_difference(tmp_path: Path) -> None:
    result = replay(read_trace(write(tmp_path / "0001.lmkt", header(CONFIG), *killing())))
    assert result.agrees
    assert (result.records, result.kills, result.chained, result.without_config) == (3, 1, 2, 0)


COUNTERS = st.fixed_dictionaries(
    {
        "kind": st.sampled_from([WakeupKind.EVENT, WakeupKind.POLL, WakeupKind.POLL, WakeupKind.VENDOR]),
        "level": st.sampled_from(Level),
        "mem_free_kb": st.sampled_from([-1, 0, 15_000, 30_000, 50_000, 400_000]),
        "swap_free_kb": st.sampled_from([-1, 0, 100_000, 2_000_000]),
        "workingset_refault_pages": st.integers(-1, 400_000),
        "nr_inactive_file_pages": st.integers(0, 60_000),
        "kswapd_progress": st.integers(-1, 50),
        "direct_progress": st.integers(-1, 5),
        "psi_mem_full_avg10_centi_pct": st.sampled_from([-1, 0, 5_000]),
        "vendor_reason": st.sampled_from([-1, 3, 1_500]),
        "vendor_min_adj": st.sampled_from([-1, 0, 900]),
        "victim_alive": st.sampled_from([0, 0, 0, 1]),
        "after_ms": st.sampled_from([1, 10, 100, 1_500, 70_000]),
    }
)
# Not st.builds: it would make up the fields that have defaults.
POLICIES = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(PolicyKind),
        "kill_heaviest_task": st.integers(0, 1),
        "swap_util_max_pct": st.sampled_from([50, 100]),
        "thrashing_limit_pct": st.sampled_from([30, 100]),
        "filecache_min_kb": st.sampled_from([0, 150_000]),
        "stall_limit_critical_pct": st.sampled_from([40, 100]),
        "direct_reclaim_threshold_ms": st.sampled_from([0, 50]),
        "lowmem_min_adj": st.sampled_from([201, 701, 1001]),
    }
).map(lambda fields: PolicyConfig(**fields))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    policy=POLICIES,
    wakeups=st.lists(COUNTERS, min_size=1, max_size=25),
    adjs=st.lists(st.sampled_from([0, 100, 200, 700, 900, 950]), max_size=20),
    failing=st.sets(st.integers(70, 90)),
)
def test_any_run_of_the_policy_replays_without_a_difference(
    tmp_path: Path, policy: PolicyConfig, wakeups: list[dict[str, Any]], adjs: list[int], failing: set[int]
) -> None:
    killer = PaperKiller(Config(policy))
    killer.candidates = tuple(make_candidate(70 + i, adj, rss_pages=i * 100 - 1, age=-i) for i, adj in enumerate(adjs))
    records = [killer.wakeup(**counters, fail=tuple(failing)) for counters in wakeups]
    result = replay(read_trace(write(tmp_path / "0001.lmkt", header(killer.config), *records)))
    assert result.differences == ()
    assert result.records == len(records)


@pytest.mark.parametrize("field", [name for name in Record._fields if name in ("judgement", "state", "snapshot")])
def test_a_changed_number_is_found(tmp_path: Path, field: str) -> None:
    changes: dict[str, dict[str, int]] = {
        "judgement": {"reason": 3, "min_adj": 5, "thrashing_pct": 1, "poll_request": 0, "breached": 0},
        "state": {"watermark_min_pages": 1, "window_start_ms": 5, "level_filter": 2},
        "snapshot": {"mem_free_kb": 500_000, "page_kb": 16, "level": 2},
    }
    for name, number in changes[field].items():
        records = killing()
        value: Any = getattr(records[1], field)._replace(**{name: number})
        records[1] = records[1]._replace(**{field: value})
        found = differences(tmp_path, *records)
        assert found, name
        assert found[0].seq == 1
        if field == "judgement":
            before = getattr(killing()[1].judgement, name)
            assert found[0] == Difference(1, 1, 500, f"judgement.{name}", number, before)


def test_of_wakeups_that_were_left_out_nothing_is_claimed(tmp_path: Path) -> None:
    killer = PaperKiller()
    first, second, last = killer.wakeup(), killer.wakeup(kswapd_progress=101), killer.wakeup(kswapd_progress=102)
    assert first.judgement.state != last.state
    at_ms = second.snapshot.now_ms
    told = LeftOut(1, at_ms, at_ms, second.snapshot.mem_free_kb, 0, 0)
    trace = (header(killer.config), first, last._replace(seq=1, left_out=told))
    result = replay(read_trace(write(tmp_path / "0001.lmkt", *trace)))
    assert (result.agrees, result.records, result.chained) == (True, 2, 0)
    unsaid = replay(read_trace(write(tmp_path / "0001.lmkt", *trace[:2], last._replace(seq=1))))
    assert unsaid.differences[0].field.startswith("chain.state.")


def test_another_config_decides_otherwise(tmp_path: Path) -> None:
    found = differences(tmp_path, *killing(), config=Config(PolicyConfig(lowmem_min_adj=901)))
    assert [(one.seq, one.field, one.recorded, one.decided) for one in found] == [
        (1, "judgement.min_adj", 701, 901),
        (1, "victim", 72, 0),
    ]


def test_another_victim_in_front_is_found(tmp_path: Path) -> None:
    records = killing()
    first, second, *others = records[1].snapshot.candidates
    swapped = records[1].snapshot._replace(candidates=(second, first, *others))
    records[1] = records[1]._replace(snapshot=swapped)
    assert [(one.field, one.recorded, one.decided) for one in differences(tmp_path, *records)] == [("victim", 71, 72)]


def test_a_strike_outside_the_ranking_is_found(tmp_path: Path) -> None:
    records = killing()
    struck = Outcome(4711, 900, 5, records[1].outcome.at_ms, 0, 1)
    records[1] = records[1]._replace(outcome=struck)
    found = differences(tmp_path, *records)
    assert found[0] == Difference(1, 1, 500, "struck", 4711, 72)
    assert found[1].field == "chain.outcome.pid"


def test_a_broken_chain_is_found_where_records_follow_each_other(tmp_path: Path) -> None:
    records = killing()
    records[2] = records[2]._replace(state=records[2].state._replace(struck_ms=77))
    found = differences(tmp_path, *records)
    assert (found[0].field, found[0].recorded, found[0].decided) == ("chain.state.struck_ms", 77, 0)
    # Nobody can tell what a lost record would have changed.
    assert not any(one.field.startswith("chain") for one in differences(tmp_path, records[0], records[2]))
    stranger = records[2]._replace(killer_pid=600)
    assert not any(one.field.startswith("chain") for one in differences(tmp_path, *records[:2], stranger))


def test_a_record_without_its_config_does_not_pass_for_agreement(tmp_path: Path) -> None:
    path = write(tmp_path / "0001.lmkt", header(CONFIG, generation=7), *killing())
    result = replay(read_trace(path))
    assert (result.records, result.without_config, result.differences) == (0, 3, ())
    assert not result.agrees


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(RECORDS)
def test_a_record_of_any_numbers_can_be_replayed(tmp_path: Path, record: Record) -> None:
    head = header(CONFIG, killer_pid=record.killer_pid, generation=record.config_generation)
    assert replay(read_trace(write(tmp_path / "0001.lmkt", head, record))).records == 1

"""How the bench turns events into figures, figures into tables and tables into docs/measurements.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.bench.figures import ARM_MARKS, MARKS, percentile, replace_part, spread, table
from tools.bench.meminfo import SHORT_PCT, TOTAL_KB, meminfo
from tools.bench.memory import Memory, read
from tools.bench.pairing import POLL, after_death, first_after, strikes
from tools.observer import EXIT, KILL, WAKING, Event

KILLER, VICTIM = 100, 200


def at(time_ns: int, name: str, tid: int, pid: int = 0) -> Event:
    return Event(name, time_ns, tid, tid, 0, {"pid": pid})


def test_a_strike_counts_from_the_wakeup_that_ended_the_wait() -> None:
    events = [at(10, POLL, KILLER), at(50, WAKING, 0, KILLER), at(300, KILL, KILLER, VICTIM)]
    [strike] = strikes(events, [KILLER])
    assert (strike.woken_ns, strike.kill_ns, strike.victim, strike.busy) == (50, 300, VICTIM, False)
    assert strike.us == 0.25


def test_a_wakeup_on_the_way_does_not_shorten_a_strike() -> None:
    lock = at(200, WAKING, 7, KILLER)
    events = [at(10, POLL, KILLER), at(50, WAKING, 0, KILLER), lock, at(300, KILL, KILLER, VICTIM)]
    assert strikes(events, [KILLER])[0].woken_ns == 50


def test_a_wait_that_was_over_at_once_counts_from_its_beginning() -> None:
    events = [
        at(10, POLL, KILLER),
        at(50, WAKING, 0, KILLER),
        at(90, POLL, KILLER),
        at(300, KILL, KILLER, VICTIM),
    ]
    [strike] = strikes(events, [KILLER])
    assert (strike.woken_ns, strike.busy) == (90, True)


def test_kills_of_others_are_not_ours() -> None:
    assert strikes([at(50, WAKING, 0, 7), at(300, KILL, 7, VICTIM)], [KILLER]) == []


def test_only_a_decision_behind_the_death_counts() -> None:
    events = [
        at(0, WAKING, 0, KILLER),
        at(1_000_000, KILL, KILLER, VICTIM),
        Event(EXIT, 2_000_000, VICTIM, VICTIM, 0, {"group_dead": 1}),
    ]
    struck = strikes(events, [KILLER])
    assert after_death(events, struck, [500_000, 1_500_000, 5_000_000, 9_000_000]) == [3.0]
    assert after_death(events, struck, [1_500_000]) == []


def test_first_after_takes_the_moment_itself_and_nothing_before() -> None:
    assert first_after([1, 5, 9], 5) == 5
    assert first_after([1, 5, 9], 6) == 9
    assert first_after([1, 5, 9], 10) is None


def test_percentiles_are_values_that_were_measured() -> None:
    values = [float(value) for value in range(1, 201)]
    assert [percentile(values, share) for share in (0.5, 0.9, 0.99, 1.0)] == [100, 180, 198, 200]
    assert percentile([7.0], 0.5) == 7
    assert spread([1000.0, 2000.0]) == "1,000 / 2,000 / 2,000 / 2,000"
    with pytest.raises(ValueError, match="no values"):
        percentile([], 0.5)


@pytest.mark.parametrize("marks", [MARKS, ARM_MARKS])
def test_the_page_changes_between_the_marks_only(marks: tuple[str, str]) -> None:
    begin, end = marks
    other = "\n".join(MARKS if marks == ARM_MARKS else ARM_MARKS)
    page = f"before\n{begin}\nold\n{end}\n{other}\nafter\n"
    once = replace_part(page, table(["a"], [["1"]]), marks)
    assert once == f"before\n{begin}\n| a |\n| --- |\n| 1 |\n{end}\n{other}\nafter\n"
    assert replace_part(once, "new", marks) == f"before\n{begin}\nnew\n{end}\n{other}\nafter\n"
    with pytest.raises(ValueError, match="marks"):
        replace_part("no marks", "new")


def test_every_state_of_the_synthetic_meminfo_has_the_same_length() -> None:
    template = "MemTotal:       24683656 kB\nMemAvailable:   24402612 kB\nSwapTotal: 5 kB\nSlab:    49272 kB\n"
    states = {pct: meminfo(pct, template) for pct in (66, 12, SHORT_PCT)}
    assert len({len(text) for text in states.values()}) == 1
    values = dict(line.split(":") for line in states[SHORT_PCT].decode().splitlines())
    assert int(values["MemAvailable"].split()[0]) == TOTAL_KB // 100
    assert int(values["SwapTotal"].split()[0]) == 0
    assert values["Slab"] == "    49272 kB"


def test_what_the_memory_script_writes_is_read_back_and_half_a_line_refused(tmp_path: Path) -> None:
    out = f"{tmp_path}/memory.txt"
    with open(out, "w") as stream:
        stream.write("lmkd-py 2 20000 12000 6000 -30 0\n")
    assert read(out) == [Memory("lmkd-py", 2, 20000, 12000, 6000, -30, 0)]
    with open(out, "a") as stream:
        stream.write("earlyoom 1 1800\n")
    with pytest.raises(ValueError, match="earlyoom 1 1800"):
        read(out)

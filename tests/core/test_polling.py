"""The event loop's waiting: pure values, so every moment can be asked about."""

from __future__ import annotations

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.decide import judge
from lmkd_py.core.polling import (
    IDLE,
    MEMEVENTS,
    NOBODY,
    PollState,
    after,
    hold_expired,
    hold_over,
    looks_soon,
    poll_due,
    polled_memevents,
    touched,
    victim_gone,
    wait_ms,
)
from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.state import INITIAL
from lmkd_py.core.vocabulary import ABSENT, Action, Level, WakeupKind

from .values import AOSP, DEFAULTS, Values, make_snapshot

NOW = 1_000_000
MEDIUM = Level.MEDIUM
EVENT, POLL, VENDOR = WakeupKind.EVENT, WakeupKind.POLL, WakeupKind.VENDOR
LOW_SWAP: Values = {"swap_free_kb": 1000}


def step(
    poll: PollState,
    kind: int = EVENT,
    level: int = MEDIUM,
    struck: int = 0,
    now: int = NOW,
    config: PolicyConfig = DEFAULTS,
    **changes: int,
) -> PollState:
    """The poll state after one evaluation of a fresh policy."""
    snapshot = make_snapshot(kind=kind, level=level, now_ms=now, victim_alive=poll.holding, **changes)
    state = INITIAL._replace(struck_ms=poll.struck_ms)
    return after(poll, judge(snapshot, state, config), struck, now, kind, level, config)


def test_an_idle_loop_never_wakes() -> None:
    assert wait_ms(IDLE, NOW, DEFAULTS) == -1
    assert not poll_due(IDLE, NOW)
    assert touched(IDLE, NOW) == IDLE


def test_a_kick_is_left_to_polling_while_that_looks_every_100_ms() -> None:
    polls = step(IDLE)
    assert looks_soon(polls, NOW)
    assert looks_soon(polls, NOW + 99)
    assert not looks_soon(polls, NOW + 100), "the poll is late, or another event made it so"
    assert looks_soon(polls, NOW - 1), "the wakeup began before the poll that it made"
    assert not looks_soon(step(IDLE, level=Level.LOW), NOW), "an event of LOW evaluates nothing"
    assert not looks_soon(IDLE, 0)
    assert not looks_soon(step(polls, struck=1), NOW), "a victim is awaited, and nobody polls"


def test_an_event_starts_polling_every_100_ms_and_every_10_ms_while_swap_is_low() -> None:
    slow, fast = step(IDLE), step(IDLE, **LOW_SWAP)
    assert (slow.handler, wait_ms(slow, NOW, DEFAULTS)) == (MEDIUM, 100)
    assert (fast.handler, wait_ms(fast, NOW, DEFAULTS)) == (MEDIUM, 10)
    assert not poll_due(slow, NOW + 99)
    assert poll_due(slow, NOW + 100)


def test_the_wait_is_the_rest_of_the_interval_and_a_whole_one_when_it_is_over() -> None:
    poll = step(IDLE)
    assert wait_ms(poll, NOW + 30, DEFAULTS) == 70
    assert wait_ms(poll, NOW + 250, DEFAULTS) == 100


def test_polls_of_kswapd_do_not_extend_polling_beyond_a_second() -> None:
    poll = step(IDLE)
    for t in range(100, 1001, 100):
        poll = step(poll, POLL, now=NOW + t)
        assert poll.handler == MEDIUM
    assert step(poll, POLL, now=NOW + 1100).handler == NOBODY


def test_direct_reclaim_extends_polling() -> None:
    poll = step(IDLE)
    poll = step(poll, POLL, now=NOW + 900, direct_progress=5)
    assert poll.start_ms == NOW + 900


def test_a_strike_pauses_polling_until_the_death_which_polls_at_once() -> None:
    held = step(step(IDLE), POLL, struck=1)
    assert (held.handler, held.paused, held.holding) == (NOBODY, MEDIUM, 1)
    assert wait_ms(held, NOW + 40, DEFAULTS) == 60
    gone = victim_gone(held, NOW + 40)
    assert wait_ms(gone, NOW + 40, DEFAULTS) == 0
    assert poll_due(gone, NOW + 40)
    polled = step(gone, POLL, now=NOW + 40, **LOW_SWAP)
    assert (polled.holding, polled.resumed, wait_ms(polled, NOW + 40, DEFAULTS)) == (0, 0, 10)


def test_the_kill_timeout_ends_the_wait_only_when_nothing_else_is_ready() -> None:
    held = step(IDLE, struck=1)
    assert not hold_expired(held, NOW + 99, DEFAULTS)
    assert hold_expired(held, NOW + 100, DEFAULTS)
    assert wait_ms(held, NOW + 130, DEFAULTS) == 0
    over = hold_over(held, NOW + 100)
    assert (over.handler, over.holding, wait_ms(over, NOW + 100, DEFAULTS)) == (MEDIUM, 0, 0)


def test_without_a_kill_timeout_a_victim_is_awaited_for_ever() -> None:
    for_ever = DEFAULTS._replace(kill_timeout_ms=0)
    held = step(IDLE, struck=1, config=for_ever)
    assert wait_ms(held, NOW, for_ever) == -1
    assert not hold_expired(held, NOW + 10**9, for_ever)


def test_an_event_while_a_victim_is_awaited_changes_only_who_polls_later() -> None:
    held = step(IDLE, struck=1)
    pending = step(held, level=Level.CRITICAL, now=NOW + 50)
    assert pending == held._replace(paused=Level.CRITICAL)


def test_an_evaluation_past_the_kill_timeout_stops_the_wait() -> None:
    held = step(IDLE, struck=1)
    assert step(held, now=NOW + 100).holding == 0


def test_an_ignored_event_does_not_extend_polling_but_lets_it_end() -> None:
    poll = step(IDLE, level=Level.CRITICAL)
    ignored = judge(make_snapshot(kind=EVENT), INITIAL._replace(level_filter=Level.CRITICAL), DEFAULTS)
    assert ignored.action == Action.IGNORED
    assert after(poll, ignored, 0, NOW + 50, EVENT, MEDIUM, DEFAULTS) == poll
    assert after(poll, ignored, 0, NOW + 1001, EVENT, MEDIUM, DEFAULTS).handler == NOBODY


def test_a_low_event_only_starts_slow_polling() -> None:
    poll = step(IDLE, level=Level.LOW, mem_free_kb=8)
    assert (poll.handler, wait_ms(poll, NOW, DEFAULTS)) == (Level.LOW, 100)
    fast = step(IDLE, **LOW_SWAP)
    assert wait_ms(step(fast, level=Level.LOW, now=NOW + 5), NOW + 5, DEFAULTS) == 10


def test_another_command_lets_polling_end_after_its_second() -> None:
    poll = step(IDLE)
    assert touched(poll, NOW + 1000) == poll
    assert touched(poll, NOW + 1001).handler == NOBODY


VENDOR_KILL: Values = {"kind": VENDOR, "level": ABSENT, "vendor_reason": 3, "vendor_min_adj": 900, "struck": 1}


def test_after_a_vendor_kill_memory_is_polled_by_whoever_polled_before() -> None:
    critical = step(IDLE, level=Level.CRITICAL)
    assert step(critical, **VENDOR_KILL).paused == Level.CRITICAL
    assert step(IDLE, **VENDOR_KILL).paused == MEDIUM


def test_after_a_vendor_kill_aosp_polls_a_source_that_evaluates_nothing() -> None:
    held = step(step(IDLE, config=AOSP), config=AOSP, **VENDOR_KILL)
    assert held.paused == MEMEVENTS
    poll = victim_gone(held, NOW + 5)
    for t in range(5, 1006, 10):
        assert poll.handler == MEMEVENTS
        poll = polled_memevents(poll, NOW + t)
    assert polled_memevents(poll, NOW + 1006).handler == NOBODY


def test_an_invalid_vendor_request_leaves_polling_as_it_is() -> None:
    poll = step(IDLE)
    request: Values = {"kind": VENDOR, "level": ABSENT, "vendor_min_adj": 900}
    assert step(poll, now=NOW + 7, vendor_reason=1000, **request) == poll
    held = step(IDLE, struck=1)
    assert step(held, now=NOW + 7, vendor_reason=1000, **request).holding == 1
    assert step(held, now=NOW + 100, vendor_reason=1000, **request) == held._replace(holding=0)


def test_a_strike_is_settled_by_the_next_judgement() -> None:
    outcome = Outcome(50, 900, 1000, NOW, 0, 1)
    pending = judge(make_snapshot(now_ms=NOW + 50, outcome=outcome, victim_alive=1), INITIAL, DEFAULTS)
    assert (pending.action, pending.state.killed_last, pending.state.struck_ms) == (Action.PENDING, 1, NOW)

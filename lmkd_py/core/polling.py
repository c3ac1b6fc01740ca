"""When to look again: AOSP's polling and the wait for a victim's death, as a state machine without a clock.

The killer's loop and the oracle check both drive it; it decides how long to wait and whether a poll is due, and
refuses to know what a file descriptor is. One turn of the loop:

    ms = wait_ms(poll, now, config)              # 0: do not wait nor look at fds at all; -1: for ever
    ready = () if ms == 0 else wait(ms)
    if poll_due(poll, now):     evaluate a POLL with level poll.handler (or polled_memevents()), then after()
    elif not ready and hold_expired(poll, now, config):  poll = hold_over(poll, now)
    for each ready fd:          victim_gone(), or evaluate and after(), or touched() for anything else

Idle means handler NOBODY and no hold: wait_ms is -1, so nothing wakes up.
"""

from __future__ import annotations

from typing import NamedTuple

from .config import PolicyConfig, kill_timeout_ms
from .decision import Judgement
from .numbers import AOSP_EXACT, FAST, IGNORED, LOW_LEVEL, MEDIUM_LEVEL, PENDING, SLOW, START, VENDOR

POLL_SHORT_MS = 10  # while swap is low and after a kill
POLL_LONG_MS = 100
POLL_TAIL_MS = 1000  # the length of a PSI window: the kernel reports at most once in it

NOBODY = -1  # no handler polls
MEMEVENTS = 3  # the reclaim-event source; polled only by AOSP's vendor defect, and then nothing is evaluated


class PollState(NamedTuple):
    """Everything the event loop remembers about waiting. A handler is a Level, MEMEVENTS or NOBODY."""

    handler: int = NOBODY  # who polls
    paused: int = NOBODY  # who polls again once the victim is gone
    start_ms: int = 0
    last_ms: int = 0
    interval_ms: int = POLL_LONG_MS
    resumed: int = 0  # 1: poll at once, without waiting
    holding: int = 0  # 1: a victim's death is awaited (Snapshot.victim_alive)
    struck_ms: int = 0  # when that victim was struck


IDLE = PollState()


def wait_ms(poll: PollState, now_ms: int, config: PolicyConfig) -> int:
    """How long the loop may sleep: -1 for ever, 0 not at all (act before looking at any fd)."""
    if poll.handler >= 0:
        if poll.resumed:
            return 0
        elapsed = now_ms - poll.last_ms
        return poll.interval_ms - elapsed if 0 <= elapsed < poll.interval_ms else poll.interval_ms
    timeout_ms = kill_timeout_ms(config)
    if poll.holding and timeout_ms > 0:
        return max(0, timeout_ms - (now_ms - poll.struck_ms))
    return -1


def poll_due(poll: PollState, now_ms: int) -> bool:
    """A poll runs before anything that became ready at the same instant."""
    return poll.handler >= 0 and (poll.resumed != 0 or now_ms - poll.last_ms >= poll.interval_ms)


def hold_expired(poll: PollState, now_ms: int, config: PolicyConfig) -> bool:
    """The kill timeout is over and the victim still there; only asked after a wait that found nothing ready."""
    timeout_ms = kill_timeout_ms(config)
    return poll.holding != 0 and poll.handler < 0 and timeout_ms > 0 and now_ms - poll.struck_ms >= timeout_ms


def hold_over(poll: PollState, now_ms: int) -> PollState:
    """Stop waiting for the victim; whoever was paused polls at once."""
    if poll.paused < 0:
        return poll._replace(holding=0)
    return victim_gone(poll, now_ms)


def victim_gone(poll: PollState, now_ms: int) -> PollState:
    """The awaited victim died (or its signal turned out to have failed): poll at once, every 10 ms for a second."""
    return PollState(
        handler=poll.paused,
        paused=NOBODY,
        start_ms=now_ms,
        last_ms=poll.last_ms,
        interval_ms=POLL_SHORT_MS,
        resumed=1,
        holding=0,
        struck_ms=poll.struck_ms,
    )


def _handler(poll: PollState, kind: int, level: int, config: PolicyConfig) -> int:
    """Who is to poll after an evaluation: the trigger's level; for a vendor request whoever evaluates memory.

    AOSP lets the reclaim-event source poll after a vendor kill, which evaluates nothing (defect vendor_poll_handler).
    """
    if kind != VENDOR:
        return level
    if config.kind == AOSP_EXACT:
        return MEMEVENTS
    if 0 <= poll.handler < MEMEVENTS:
        return poll.handler
    return poll.paused if 0 <= poll.paused < MEMEVENTS else MEDIUM_LEVEL


def after(
    poll: PollState, judgement: Judgement, struck: int, now_ms: int, kind: int, level: int, config: PolicyConfig
) -> PollState:
    """The poll state after an evaluation of a wakeup of this kind and level.

    struck: 1 if a victim was signalled and its death is awaited.
    """
    handler = _handler(poll, kind, level, config)
    action = judgement.action
    holding = poll.holding
    struck_ms = poll.struck_ms
    if struck:
        holding = 1
        struck_ms = now_ms
    elif action not in (PENDING, IGNORED):
        holding = 0  # nobody is awaited, or too long
    if holding and action != IGNORED:
        return PollState(NOBODY, handler, poll.start_ms, poll.last_ms, poll.interval_ms, 0, 1, struck_ms)
    request = judgement.poll_request
    interval_ms = poll.interval_ms
    if request & FAST:
        interval_ms = POLL_SHORT_MS
    elif request & SLOW or poll.handler < 0:
        interval_ms = POLL_LONG_MS
    if request & START:
        return PollState(handler, poll.paused, now_ms, now_ms, interval_ms, 0, holding, struck_ms)
    # A vendor request is no poll, whoever is to poll after it.
    last_ms = now_ms if poll.handler == handler and (kind != VENDOR or handler == MEMEVENTS) else poll.last_ms
    polls = poll.handler if now_ms - poll.start_ms <= POLL_TAIL_MS else NOBODY
    return PollState(polls, poll.paused, poll.start_ms, last_ms, interval_ms, 0, holding, struck_ms)


def prolonged(poll: PollState, now_ms: int) -> PollState:
    """Pressure goes on (a LOW event while polling): poll for another second, in the same rhythm.

    Not a START: that sets the interval anew, and reclaim reports LOW more often than a poll is due.
    """
    return poll._replace(start_ms=now_ms) if poll.handler >= 0 else poll


def looks_soon(poll: PollState, now_ms: int) -> bool:
    """Somebody polls and has evaluated within a slow poll's interval: a kick need not be evaluated on top of that.

    Where reclaim goes on, kicks come every 25 ms: four evaluations for one that polling makes anyway. (The killer makes
    an exception where free memory fell below a watermark, see watermarks.sank().) An event of LOW
    makes somebody poll and evaluates nothing (AOSP): the first kick behind it is evaluated.
    """
    return poll.handler > LOW_LEVEL and now_ms - poll.last_ms < POLL_LONG_MS


def touched(poll: PollState, now_ms: int) -> PollState:
    """Something else was handled (a registration, a command): polling may have lasted its second."""
    if poll.handler < 0:
        return poll
    polls = poll.handler if now_ms - poll.start_ms <= POLL_TAIL_MS else NOBODY
    return poll._replace(handler=polls, resumed=0)


def polled_memevents(poll: PollState, now_ms: int) -> PollState:
    """A poll of MEMEVENTS: nothing is evaluated, time passes."""
    return touched(poll._replace(last_ms=now_ms), now_ms)

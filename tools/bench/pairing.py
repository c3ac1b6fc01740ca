"""From what the kernel told to latencies: which wake-up led to which kill, which death was followed by what."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tools.observer import EXIT, KILL, WAKING, Event

POLL = "syscalls:sys_enter_poll"
SLEEPS = (POLL, "syscalls:sys_enter_clock_nanosleep", "syscalls:sys_enter_pselect6", "syscalls:sys_enter_ppoll")


class TimedKill(NamedTuple):
    """One kill and the wake-up that led to it."""

    woken_ns: int
    kill_ns: int
    tid: int
    victim: int
    busy: bool  # it had not slept since its last turn: what it waited for was there already

    @property
    def us(self) -> float:
        """Microseconds from wake-up to signal."""
        return (self.kill_ns - self.woken_ns) / 1000


def strikes(events: Iterable[Event], tids: Sequence[int]) -> list[TimedKill]:
    """Every kill sent by one of the threads, with the first wake-up since it last began to wait.

    A later wake-up (for the interpreter's lock, say) belongs to the way, not to the start. Events must be in order.
    """
    began: dict[int, int] = {}
    woken: dict[int, int] = {}
    found = []
    for event in events:
        if event.name in SLEEPS and event.tid in tids:
            began[event.tid] = event.time_ns
            woken.pop(event.tid, None)
        elif event.name == WAKING:
            woken.setdefault(int(event.fields["pid"]), event.time_ns)
        elif event.name == KILL and event.tid in tids:
            start = woken.get(event.tid, began.get(event.tid))
            if start is not None:
                found.append(
                    TimedKill(start, event.time_ns, event.tid, int(event.fields["pid"]), event.tid not in woken)
                )
    return found


def after_death(events: Iterable[Event], struck: Sequence[TimedKill], decisions_ns: Sequence[int]) -> list[float]:
    """Milliseconds from each struck victim's exit to the next decision; decisions_ns: when each was taken, in order.

    A decision between strike and death is not one about the memory that the death gives back, so only later ones count.
    """
    deaths: dict[int, int] = {}
    for event in events:
        if event.name == EXIT and event.fields.get("group_dead", event.pid == event.tid):
            deaths.setdefault(event.pid, event.time_ns)
    taken = sorted(decisions_ns)
    gaps = []
    for strike in struck:
        died = deaths.get(strike.victim)
        if died is None or died < strike.kill_ns:
            continue
        at = bisect_right(taken, died)
        if at < len(taken):
            gaps.append((taken[at] - died) / 1e6)
    return gaps


def first_after(times_ns: Sequence[int], moment_ns: int) -> int | None:
    """The first of the ordered times at or after a moment."""
    at = bisect_left(times_ns, moment_ns)
    return times_ns[at] if at < len(times_ns) else None

"""From one killer to the next: everything handed over, the former one ended, its last victim awaited by the new one.

There is never a moment with two live killers, and the moment with none is the time the kernel needs to end one.
"""

from __future__ import annotations

import os
from time import monotonic, monotonic_ns, sleep
from typing import TYPE_CHECKING

from ....core.config import MonitorConfig
from ....kernel.acting.process import read_stat
from ....kernel.acting.syscalls import pidfd_open
from ....kernel.protection.own_cgroup import give_rt_quota
from ... import shared as layout
from ...hurry import hurry
from ...inherited import EXIT_BROKEN
from ...shared import WORD_MASK
from ...shortage import is_shortage
from ..candidates.candidates import Candidates
from .keeper import Killer, KillerFailed, wait_readable

if TYPE_CHECKING:
    from ..filing.journal import Journal

HAND_OVER_TIMEOUT_S = 10.0


def hand_over(candidates: Candidates, killer: Killer, former: Killer | None = None) -> None:
    """Give a killer in stand-by every candidate and wait until it has taken them in.

    KillerFailed where it is dead or does not take them, and `former` guards. Where nobody does, it is to go live all
    the same: the rest is sent to it later, and its pidfd tells of its death.
    """
    guarded = _guards(former)
    refused = _give(candidates, killer, guarded)
    if refused and guarded and _guards(former):
        raise KillerFailed(EXIT_BROKEN, refused)


def relieve(killer: Killer, former: Killer) -> None:
    """End the former killer and see it dead. KillerFailed: `killer` has died, the former one guards on."""
    if killer.wait_end(0) and _guards(former):
        raise KillerFailed(EXIT_BROKEN, _last_words(killer))
    hurry()  # nobody guards until the new one is live
    deadline = monotonic() + HAND_OVER_TIMEOUT_S
    while True:
        try:
            former.end()
            return
        except (OSError, MemoryError) as error:  # it may have been killed by now: no reason to drop the other one, too
            if not is_shortage(error) or monotonic() > deadline:
                raise
            sleep(0.001)


def _guards(former: Killer | None) -> bool:
    return former is not None and not former.wait_end(0)


def _give(candidates: Candidates, killer: Killer, guarded: bool) -> str:
    # Says what is wrong with the killer, if it has not taken them. Where nobody guards there is no time for a slow one.
    outbox, words = killer.outbox, killer.shared.words
    assert outbox is not None
    candidates.hand_over(outbox)
    taken, deadline = words[layout.INBOX_TAIL], monotonic() + HAND_OVER_TIMEOUT_S
    while monotonic() < deadline:
        try:
            if outbox.flush() and outbox.consumed():
                return ""
            outbox.kick()
        except OSError as error:
            if is_shortage(error):
                sleep(0.001)
                continue
            return _last_words(killer) if killer.wait_end(0) else f"the killer does not listen: {error.strerror}"
        if killer.wait_end(0.001):
            return _last_words(killer)
        if guarded and words[layout.INBOX_TAIL] != taken:
            taken, deadline = words[layout.INBOX_TAIL], monotonic() + HAND_OVER_TIMEOUT_S
    return f"the killer has taken no candidate for {HAND_OVER_TIMEOUT_S:g} s"


def _last_words(killer: Killer) -> str:
    return killer.shared.read_report().failure or "the killer ended before it took over"


def go_live(killer: Killer, former: Killer | None) -> int:
    """Let the new killer strike from here on; the former one, if there is one, has been ended and seen dead.

    CLOCK_MONOTONIC ns of that moment.
    """
    outbox = killer.outbox
    assert outbox is not None
    if former is not None and killer.shared.words[layout.MODE] != layout.LIVE:
        try:
            _adopt(killer, former)  # only now is it certain whom it struck last
        except (OSError, MemoryError):
            pass  # the next victim may follow early; better than that nobody guards
    killer.shared.words[layout.MODE] = layout.LIVE
    outbox.kick()
    return monotonic_ns()


def settle(killer: Killer, monitor: MonitorConfig, journal: Journal) -> None:
    """What a live killer can do without for some milliseconds, and nobody without a killer should wait for."""
    refused = give_rt_quota(killer.pid) if monitor.guarantee.rt_priority else None
    if refused is not None:
        journal.add(refused._replace(number=killer.pid))


def _adopt(killer: Killer, former: Killer) -> None:
    words = former.shared.words
    pid, start = words[layout.AWAITED_PID], words[layout.AWAITED_START]
    if not pid:
        return
    try:
        pidfd = pidfd_open(pid)
    except OSError:
        return  # dead and gone: nothing to wait for
    try:
        stat = read_stat(pid)
    except (OSError, ValueError):
        os.close(pidfd)
        return
    if stat.start_ticks & WORD_MASK != start or wait_readable((pidfd,), 0):
        os.close(pidfd)  # another process by now, or just dead
        return
    since_ms = int(monotonic() * 1000)
    since_ms -= (since_ms - words[layout.AWAITED_SINCE_MS]) & WORD_MASK
    outbox = killer.outbox
    assert outbox is not None
    outbox.put(layout.ADOPT, 0, (pid, 0, 0, 0, stat.start_ticks, 0, since_ms), (pidfd,))
    outbox.flush()

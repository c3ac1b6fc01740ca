"""Before its very first kill AOSP reads the watermarks again and climbs the ladder a second time."""

from __future__ import annotations

from typing import NamedTuple

from .climb import climb, cuts, watches
from .config import PolicyConfig
from .decision import Verdict
from .numbers import AOSP_EXACT, NO_REASON
from .signals import Signals, seen_again


class Climbed(NamedTuple):
    """A verdict, and what to keep for the next evaluation."""

    verdict: Verdict
    breached: int  # Watermark
    check_filecache: int
    cuts_limit: bool


def climb_once(signals: Signals, check_filecache: int, config: PolicyConfig) -> Climbed:
    """The usual climb. `check_filecache` is the watch as it was."""
    verdict = climb(signals, config)
    return Climbed(verdict, signals.breached, watches(verdict.reason, check_filecache), cuts(verdict.reason))


def climb_again(first: Verdict, signals: Signals, check_filecache: int, below: int, config: PolicyConfig) -> Climbed:
    """The second climb. `first`, `signals` and `check_filecache` are the first climb's, `below` is what is breached of
    the marks that were read anew."""
    if config.kind != AOSP_EXACT:
        return climb_once(seen_again(signals, below, signals.check_filecache), check_filecache, config)
    # AOSP does not forget the first climb (defect first_kill_stale_decision): where the second says nothing new, the
    # first one's word stands, a floor of 0 does not replace a higher one, and the side effects add up.
    watched = watches(first.reason, check_filecache)
    again = climb_once(seen_again(signals, below, watched != 0), watched, config)
    if again.verdict.reason == NO_REASON:
        return Climbed(first, signals.breached, 0, cuts(first.reason))
    min_adj = again.verdict.min_adj if again.verdict.min_adj != 0 else first.min_adj
    verdict = Verdict(again.verdict.reason, min_adj)
    return Climbed(verdict, below, again.check_filecache, again.cuts_limit or cuts(first.reason))

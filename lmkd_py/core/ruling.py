"""From signals to a verdict, and what the verdict entails: a cut thrashing limit, a watched file cache."""

from __future__ import annotations

from typing import NamedTuple, Optional

from .config import PolicyConfig
from .decision import Verdict
from .ladder import climb
from .signals import Signals
from .snapshot import Snapshot
from .vocabulary import Compat, KillReason
from .watermarks import Marks, breached, free_pages, taken

_AOSP = int(Compat.AOSP)
_LOW_MEM = int(KillReason.LOW_MEM)
# Reasons that cut the thrashing limit, so that one bout of thrashing may take several victims.
_CUTTING = (int(KillReason.LOW_MEM_AND_THRASHING), int(KillReason.DIRECT_RECL_AND_THRASHING))
# Reasons after which the file cache is watched until it has grown back.
_WATCHING = (int(KillReason.LOW_SWAP_AND_THRASHING), *_CUTTING)


class Ruling(NamedTuple):
    """A verdict or none, and what goes with it."""

    verdict: Optional[Verdict]
    breached: int  # Watermark the verdict rests on
    cuts_limit: bool
    check_filecache: int
    marks: Marks
    first_kill_done: int


def rule(signals: Signals, marks: Marks, snapshot: Snapshot, first_kill_done: int, config: PolicyConfig) -> Ruling:
    """Climb the ladder; before the very first kill climb it again with watermarks read just now."""
    first = _once(signals, marks, first_kill_done, config)
    if first.verdict is None or first_kill_done:
        return first
    marks = taken(snapshot, marks)
    signals = signals._replace(breached=breached(free_pages(snapshot), marks))
    if config.compat != _AOSP:
        return _once(signals, marks, 1, config)
    # AOSP does not forget the first pass (defect first_kill_stale_decision): where the second says nothing new,
    # the first pass's word stands, a floor of 0 does not replace a higher one, and the side effects add up.
    second = _once(signals._replace(check_filecache=first.check_filecache), marks, 1, config)
    verdict = second.verdict
    if verdict is None:
        return first._replace(check_filecache=second.check_filecache, marks=marks, first_kill_done=1)
    return second._replace(
        verdict=Verdict(verdict.reason, verdict.min_adj or first.verdict.min_adj),
        cuts_limit=first.cuts_limit or second.cuts_limit,
    )


def _once(signals: Signals, marks: Marks, first_kill_done: int, config: PolicyConfig) -> Ruling:
    verdict = climb(signals, config)
    check_filecache = signals.check_filecache
    cuts_limit = False
    if verdict is None or verdict.reason == _LOW_MEM:
        check_filecache = 0  # the file cache rule was asked and found enough
    elif verdict.reason in _WATCHING:
        check_filecache = 1
        cuts_limit = verdict.reason in _CUTTING
    return Ruling(verdict, signals.breached, cuts_limit, check_filecache, marks, first_kill_done)

"""Before its very first kill AOSP reads the watermarks again and climbs the ladder a second time."""

from __future__ import annotations

from .config import PolicyConfig
from .decision import Verdict
from .ladder import ENTAILED, climb
from .signals import Signals
from .vocabulary import Compat, KillReason
from .watermarks import breached

_AOSP = int(Compat.AOSP)
_NO_REASON = int(KillReason.NONE)


def climb_again(
    first: Verdict, signals: Signals, free: int, marks: tuple[int, int, int], config: PolicyConfig
) -> tuple[int, int, int, int, int]:
    """(reason, min_adj, breached, check_filecache, cuts_limit) after the second climb; reason NONE spares everybody.

    `first` and `signals` are the first climb's, `free` pages are compared with the freshly read `marks`.
    """
    below = breached(free, marks)
    if config.compat != _AOSP:
        verdict = climb(signals._replace(breached=below), config)
        reason, min_adj = verdict or (_NO_REASON, -1)
        return (reason, min_adj, below, *ENTAILED.get(reason, (signals.check_filecache, 0)))
    # AOSP does not forget the first climb (defect first_kill_stale_decision): where the second says nothing new, the
    # first one's word stands, a floor of 0 does not replace a higher one, and the side effects add up.
    watched, cut = ENTAILED.get(first.reason, (signals.check_filecache, 0))
    verdict = climb(signals._replace(breached=below, check_filecache=watched), config)
    if verdict is None:
        return first.reason, first.min_adj, signals.breached, 0, cut
    watched, cuts = ENTAILED.get(verdict.reason, (watched, 0))
    return verdict.reason, verdict.min_adj or first.min_adj, below, watched, cut | cuts

"""What the policy decides: verdict, judgement, decision."""

from __future__ import annotations

from typing import Final, NamedTuple

from .snapshot import Candidate
from .state import PolicyState


class Verdict(NamedTuple):
    """A rule's word: why somebody has to die, and the lowest oom_score_adj that may."""

    reason: int  # KillReason
    min_adj: int


SPARED: Final = Verdict(-1, -1)  # KillReason.NONE: the rule does not match


class Judgement(NamedTuple):
    """The first half of a decision: all that can be known before candidates are looked at.

    Where an evaluation ended early (IGNORED, PENDING, UNREADABLE, a LOW event) the measured fields are ABSENT.
    """

    action: int  # Action
    reason: int  # KillReason; NONE unless action is KILL or HELD
    min_adj: int  # ABSENT unless action is KILL
    thrashing_pct: int
    max_thrashing_pct: int  # since the last kill, this evaluation included
    free_swap_kb: int  # estimated (AOSP's easy-to-reclaim formula); ABSENT where the domain has no swap counters
    swap_low_threshold_kb: int
    swap_util_pct: int
    breached: int  # Watermark the verdict rests on
    reclaim: int  # ReclaimState
    file_lru_kb: int
    direct_reclaim_ms: int
    swap_is_low: int
    poll_request: int  # bits, see numbers.KEEP: what the event loop is asked to do if nobody is awaited
    state: PolicyState  # next state


class Decision(NamedTuple):
    """The whole decision: the judgement and the victims, the one to strike first in front."""

    judgement: Judgement
    victims: tuple[Candidate, ...]

"""The order of the rules is the policy: the first that matches decides."""

from __future__ import annotations

from typing import Callable, Optional

from . import rules
from .config import PolicyConfig
from .decision import Verdict
from .signals import Signals
from .vocabulary import KillReason

LADDER: tuple[Callable[[Signals, PolicyConfig], Optional[Verdict]], ...] = (
    rules.vendor_kill,
    rules.pressure_after_kill,
    rules.not_responding,
    rules.low_swap_and_thrashing,
    rules.low_mem_and_swap,
    rules.low_mem_and_swap_util,
    rules.low_mem_and_thrashing,
    rules.direct_recl_and_thrashing,
    rules.direct_recl_stuck,
    rules.low_filecache_after_thrashing,
    rules.low_mem,
)

# What a rule cannot match without, rule by rule, as bits of a situation; 0 would be a rule that is always asked.
LOW_MEM, LOW_SWAP, DIRECT, AFTER_KILL, WATCHED, ASKED, STALLED = (1 << bit for bit in range(7))
NEEDS = (
    ASKED,  # vendor_kill
    AFTER_KILL | LOW_MEM,
    STALLED,  # not_responding
    LOW_SWAP,
    LOW_SWAP | LOW_MEM,
    LOW_MEM,
    LOW_MEM,
    DIRECT,
    DIRECT,
    WATCHED,  # low_filecache_after_thrashing
    LOW_MEM,
)
# The rules worth asking in each situation: to ask the others costs a microsecond each where all of it is cold.
LADDERS = tuple(
    tuple(rule for rule, needs in zip(LADDER, NEEDS) if needs & situation == needs) for situation in range(1 << 7)
)

# What a reason entails, (check_filecache, cuts_limit): after thrashing the file cache is watched until a climb gets
# past the rule that asks for it; the limit is cut so that one bout of thrashing may take several victims. Any other
# reason leaves the watch as it is and cuts nothing.
ENTAILED = {
    int(KillReason.NONE): (0, 0),
    int(KillReason.LOW_MEM): (0, 0),
    int(KillReason.LOW_SWAP_AND_THRASHING): (1, 0),
    int(KillReason.LOW_MEM_AND_THRASHING): (1, 1),
    int(KillReason.DIRECT_RECL_AND_THRASHING): (1, 1),
}


def climb(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """The verdict of the first rule that matches, or None."""
    for rule in LADDER:
        verdict = rule(signals, config)
        if verdict is not None:
            return verdict
    return None

"""The climb of the ladder, at every wakeup: the first rule that matches decides. `ladder` describes each rule."""

from __future__ import annotations

from . import rules
from .config import PolicyConfig
from .decision import Verdict
from .numbers import (
    DIRECT_RECL_AND_THRASHING,
    LOW_MEM,
    LOW_MEM_AND_THRASHING,
    LOW_SWAP_AND_THRASHING,
    NO_REASON,
)
from .signals import Signals


def climb(signals: Signals, config: PolicyConfig) -> Verdict:
    """The verdict of the first rule that matches, or SPARED. The order of the rules is the policy."""
    verdict = rules.vendor_kill(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.pressure_after_kill(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.not_responding(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.low_swap_and_thrashing(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.low_mem_and_swap(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.low_mem_and_swap_util(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.low_mem_and_thrashing(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.direct_recl_and_thrashing(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.direct_recl_stuck(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.low_filecache_after_thrashing(signals, config)
    if verdict.reason == NO_REASON:
        verdict = rules.low_mem(signals, config)
    return verdict


def watches(reason: int, before: int) -> int:
    """check_filecache after a climb: the file cache is watched after thrashing until a climb gets past that rule."""
    if reason in (LOW_SWAP_AND_THRASHING, LOW_MEM_AND_THRASHING, DIRECT_RECL_AND_THRASHING):
        return 1
    return 0 if reason in (NO_REASON, LOW_MEM) else before


def cuts(reason: int) -> bool:
    """Is the thrashing limit cut, so that one bout of thrashing may take several victims?"""
    return reason in (LOW_MEM_AND_THRASHING, DIRECT_RECL_AND_THRASHING)

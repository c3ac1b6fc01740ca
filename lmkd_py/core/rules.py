"""One rule a function, named after its kill reason. A rule reads signals and config and says why and whom, or SPARED.

A docstring's first line is printed beside the recorded numbers, so it says no more than the rule's conditions do.
PERCEPTIBLE_APP_ADJ + 1 as a floor spares what the user sees or hears (adj <= 200).
"""

from __future__ import annotations

from typing import Final

from .config import PolicyConfig
from .decision import SPARED, Verdict
from .numbers import (
    CRITICAL_LEVEL,
    DIRECT,
    DIRECT_RECL_AND_THRASHING,
    DIRECT_RECL_STUCK,
    EVENT,
    LOW_FILECACHE_AFTER_THRASHING,
    LOW_MARK,
    LOW_MEM,
    LOW_MEM_AND_SWAP,
    LOW_MEM_AND_SWAP_UTIL,
    LOW_MEM_AND_THRASHING,
    LOW_SWAP_AND_THRASHING,
    MIN_MARK,
    NOT_RESPONDING,
    PRESSURE_AFTER_KILL,
    VENDOR,
    VENDOR_BASE,
)
from .signals import Signals
from .vocabulary import PERCEPTIBLE_APP_ADJ

SPARE_PERCEPTIBLE: Final = PERCEPTIBLE_APP_ADJ + 1


def vendor_kill(signals: Signals, config: PolicyConfig) -> Verdict:
    """The vendor's kernel asks for a kill and says from where; judge() has checked that it may."""
    if signals.kind != VENDOR:
        return SPARED
    return Verdict(VENDOR_BASE + signals.vendor_reason, signals.vendor_min_adj)


def pressure_after_kill(signals: Signals, config: PolicyConfig) -> Verdict:
    """Free memory is below the min watermark although the evaluation before killed: be less choosy."""
    if signals.cycle_after_kill and signals.breached == MIN_MARK:
        return Verdict(PRESSURE_AFTER_KILL, config.pressure_after_kill_min_adj)
    return SPARED


def not_responding(signals: Signals, config: PolicyConfig) -> Verdict:
    """The trigger for critical pressure fired: to the user the device may hang."""
    if signals.level == CRITICAL_LEVEL and signals.kind == EVENT:
        return Verdict(NOT_RESPONDING, 0)
    return SPARED


def low_swap_and_thrashing(signals: Signals, config: PolicyConfig) -> Verdict:
    """Usable free swap is low and more of the file cache is read back than the limit allows."""
    if signals.swap_is_low and signals.thrashing_pct > config.thrashing_limit_pct:
        spare = signals.breached > MIN_MARK and signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(LOW_SWAP_AND_THRASHING, SPARE_PERCEPTIBLE if spare else 0)
    return SPARED


def low_mem_and_swap(signals: Signals, config: PolicyConfig) -> Verdict:
    """Free memory and usable free swap are both low."""
    if signals.swap_is_low and signals.breached <= LOW_MARK:
        spare = signals.breached > MIN_MARK and signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(LOW_MEM_AND_SWAP, SPARE_PERCEPTIBLE if spare else 0)
    return SPARED


def low_mem_and_swap_util(signals: Signals, config: PolicyConfig) -> Verdict:
    """Free memory is low and more of what can be swapped is in swap than the limit allows."""
    limit_pct = config.swap_util_max_pct
    if limit_pct < 100 and signals.breached <= LOW_MARK and signals.swap_util_pct > limit_pct:
        return Verdict(LOW_MEM_AND_SWAP_UTIL, 0)
    return SPARED


def low_mem_and_thrashing(signals: Signals, config: PolicyConfig) -> Verdict:
    """Free memory is low and more of the file cache is read back than the limit allows."""
    if signals.breached <= LOW_MARK and signals.thrashing_pct > signals.thrashing_limit_pct:
        spare = signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(LOW_MEM_AND_THRASHING, SPARE_PERCEPTIBLE if spare else 0)
    return SPARED


def direct_recl_and_thrashing(signals: Signals, config: PolicyConfig) -> Verdict:
    """Tasks reclaim for themselves and more of the file cache is read back than the limit allows."""
    if signals.reclaim == DIRECT and signals.thrashing_pct > signals.thrashing_limit_pct:
        spare = signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(DIRECT_RECL_AND_THRASHING, SPARE_PERCEPTIBLE if spare else 0)
    return SPARED


def direct_recl_stuck(signals: Signals, config: PolicyConfig) -> Verdict:
    """Direct reclaim has been going on for longer than the limit allows."""
    if signals.reclaim == DIRECT and 0 < config.direct_reclaim_threshold_ms < signals.direct_reclaim_ms:
        return Verdict(DIRECT_RECL_STUCK, 0)
    return SPARED


def low_filecache_after_thrashing(signals: Signals, config: PolicyConfig) -> Verdict:
    """Thrashing was answered with a kill, and the file cache is still smaller than it should be."""
    if signals.check_filecache and 0 <= signals.file_lru_kb < config.filecache_min_kb:
        return Verdict(LOW_FILECACHE_AFTER_THRASHING, SPARE_PERCEPTIBLE)
    return SPARED


def low_mem(signals: Signals, config: PolicyConfig) -> Verdict:
    """Free memory is low and nothing worse is the matter: the most expendable apps are enough."""
    if signals.breached <= LOW_MARK:
        return Verdict(LOW_MEM, config.lowmem_min_adj)
    return SPARED

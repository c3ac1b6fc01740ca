"""One rule a function, named after its kill reason. A rule reads signals and config and says why and whom, or None.

PERCEPTIBLE_APP_ADJ + 1 as a floor spares what the user sees or hears (adj <= 200).
"""

from __future__ import annotations

from typing import Optional

from .config import PolicyConfig
from .decision import Verdict
from .signals import Signals
from .vocabulary import ABSENT, PERCEPTIBLE_APP_ADJ, KillReason, Level, ReclaimState, WakeupKind, Watermark

_SPARE_PERCEPTIBLE = PERCEPTIBLE_APP_ADJ + 1
# Plain ints: an IntEnum member costs a lookup and a slower comparison at every wakeup.
_EVENT = int(WakeupKind.EVENT)
_VENDOR = int(WakeupKind.VENDOR)
_CRITICAL = int(Level.CRITICAL)
_DIRECT = int(ReclaimState.DIRECT)
_MIN = int(Watermark.MIN)
_LOW = int(Watermark.LOW)
_PRESSURE_AFTER_KILL = int(KillReason.PRESSURE_AFTER_KILL)
_NOT_RESPONDING = int(KillReason.NOT_RESPONDING)
_LOW_SWAP_AND_THRASHING = int(KillReason.LOW_SWAP_AND_THRASHING)
_LOW_MEM_AND_SWAP = int(KillReason.LOW_MEM_AND_SWAP)
_LOW_MEM_AND_SWAP_UTIL = int(KillReason.LOW_MEM_AND_SWAP_UTIL)
_LOW_MEM_AND_THRASHING = int(KillReason.LOW_MEM_AND_THRASHING)
_DIRECT_RECL_AND_THRASHING = int(KillReason.DIRECT_RECL_AND_THRASHING)
_DIRECT_RECL_STUCK = int(KillReason.DIRECT_RECL_STUCK)
_LOW_FILECACHE_AFTER_THRASHING = int(KillReason.LOW_FILECACHE_AFTER_THRASHING)
_LOW_MEM = int(KillReason.LOW_MEM)
_VENDOR_BASE = int(KillReason.VENDOR_BASE)


def vendor_kill(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """The vendor's kernel asks for a kill and says from where; judge() has checked that it may."""
    if signals.kind != _VENDOR:
        return None
    return Verdict(_VENDOR_BASE + signals.vendor_reason, signals.vendor_min_adj)


def pressure_after_kill(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Even the last kill left free memory below the min watermark: allocations are failing, do not be choosy."""
    if signals.cycle_after_kill and signals.breached == _MIN:
        return Verdict(_PRESSURE_AFTER_KILL, config.pressure_after_kill_min_adj)
    return None


def not_responding(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Every task stood still for most of a second: to the user the device hangs."""
    if signals.level == _CRITICAL and signals.kind == _EVENT:
        return Verdict(_NOT_RESPONDING, 0)
    return None


def low_swap_and_thrashing(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Neither swap nor file cache has room: anonymous memory cannot leave and code pages come back at once."""
    if signals.swap_is_low and signals.thrashing_pct > config.thrashing_limit_pct:
        spare = signals.breached > _MIN and signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(_LOW_SWAP_AND_THRASHING, _SPARE_PERCEPTIBLE if spare else 0)
    return None


def low_mem_and_swap(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Free memory and free swap are both low: reclaim has little left to work with."""
    if signals.swap_is_low and signals.breached <= _LOW:
        spare = signals.breached > _MIN and signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(_LOW_MEM_AND_SWAP, _SPARE_PERCEPTIBLE if spare else 0)
    return None


def low_mem_and_swap_util(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Free memory is low and most of what can be swapped is swapped already."""
    limit_pct = config.swap_util_max_pct
    if limit_pct < 100 and signals.breached <= _LOW and signals.swap_util_pct > limit_pct:
        return Verdict(_LOW_MEM_AND_SWAP_UTIL, 0)
    return None


def low_mem_and_thrashing(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Free memory is low and the file cache is being read back as fast as it is dropped."""
    if signals.breached <= _LOW and signals.thrashing_pct > signals.thrashing_limit_pct:
        spare = signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(_LOW_MEM_AND_THRASHING, _SPARE_PERCEPTIBLE if spare else 0)
    return None


def direct_recl_and_thrashing(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Tasks reclaim for themselves, so they stall, and thrash on top."""
    if signals.reclaim == _DIRECT and signals.thrashing_pct > signals.thrashing_limit_pct:
        spare = signals.thrashing_pct < config.thrashing_limit_critical_pct
        return Verdict(_DIRECT_RECL_AND_THRASHING, _SPARE_PERCEPTIBLE if spare else 0)
    return None


def direct_recl_stuck(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Direct reclaim has been going on for longer than the user would wait."""
    if signals.reclaim == _DIRECT and 0 < config.direct_reclaim_threshold_ms < signals.direct_reclaim_ms:
        return Verdict(_DIRECT_RECL_STUCK, 0)
    return None


def low_filecache_after_thrashing(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Thrashing was answered with a kill, but the file cache has not grown back to where it can serve."""
    if signals.check_filecache and ABSENT < signals.file_lru_kb < config.filecache_min_kb:
        return Verdict(_LOW_FILECACHE_AFTER_THRASHING, _SPARE_PERCEPTIBLE)
    return None


def low_mem(signals: Signals, config: PolicyConfig) -> Optional[Verdict]:
    """Free memory is low and nothing worse is the matter: the most expendable apps are enough."""
    if signals.breached <= _LOW:
        return Verdict(_LOW_MEM, config.lowmem_min_adj)
    return None

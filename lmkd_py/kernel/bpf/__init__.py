"""The strike inside the kernel: a BPF program that kicks the killer, and kills in its place when it does not answer."""

from __future__ import annotations

from .guard import Counters, Guard, KillerGuard, Strike
from .loader import load_apart
from .order import VARIANT_CURRENT, VARIANT_LIST, VARIANT_NAMES, VARIANT_WALK, Arms, BpfRefused, Order
from .pins import disown, parent_of, unpin

__all__ = [
    "VARIANT_CURRENT",
    "VARIANT_LIST",
    "VARIANT_NAMES",
    "VARIANT_WALK",
    "Arms",
    "BpfRefused",
    "Counters",
    "Guard",
    "KillerGuard",
    "Order",
    "Strike",
    "disown",
    "load_apart",
    "parent_of",
    "unpin",
]

"""The strike inside the kernel: a BPF program that kicks the killer, and kills in its place when it does not answer."""

from __future__ import annotations

from .guard import Guard, KillerGuard, LoggedStrike, ProgramCounters, strikes_in
from .loader import load_apart
from .order import VARIANT_CURRENT, VARIANT_LIST, VARIANT_NAMES, VARIANT_WALK, AttachedProgram, BpfRefused, Order
from .pins import Abandoned, abandoned, disown, parent_of, unpin

__all__ = [
    "VARIANT_CURRENT",
    "VARIANT_LIST",
    "VARIANT_NAMES",
    "VARIANT_WALK",
    "Abandoned",
    "AttachedProgram",
    "BpfRefused",
    "ProgramCounters",
    "Guard",
    "KillerGuard",
    "Order",
    "LoggedStrike",
    "abandoned",
    "disown",
    "load_apart",
    "parent_of",
    "strikes_in",
    "unpin",
]

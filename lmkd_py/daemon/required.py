"""Why a daemon that must reach a layer of the memory guarantee does not: which are active, which is not, what helps.

Imported only where a layer is required.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.vocabulary import HOLDING
from ..wire.sentences import absence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..core.notes import Note

# What would help, for each layer.
HELP = (
    "run it on a kernel with BPF, or to guard a cgroup on one with NUMA; for the frame stack by another version of "
    "Python",
    "run as root, with rt_priority above 0 and lock_memory 1",
    "run as root, with reserve_kb above 0 (-1, the default, takes a pool from 512 MiB of RAM on)",
    "run as root on a kernel that lets it load BPF, strike.enabled 1, strike.min_adj 1000 or less, not observing",
    "build device/module, as its README says, and insmod lmkd_memalloc.ko",
)


def missing_layers(active: int, required: int) -> list[int]:
    """The layers up to `required` that are not in `active` (a bit each)."""
    return [layer for layer in range(required + 1) if not active >> layer & 1]


def reasons(layer: int, notes: Iterable[Note]) -> list[Note]:
    """Of the killer's notes those that say why this layer is not active."""
    return [note for note in notes if note.layer == layer and note.kind not in HOLDING]


def shortfall(active: int, required: int, notes: Iterable[Note]) -> str:
    """One line if a layer up to `required` is not in `active` (a bit each), else ''. notes: the killer's."""
    missing = missing_layers(active, required)
    if not missing:
        return ""
    notes = list(notes)
    there = ", ".join(str(layer) for layer in range(len(HELP)) if active >> layer & 1) or "none"
    wanted = f"0 to {required}" if required else "0"
    parts = [f"layers of the memory guarantee: active {there}, wanted {wanted}"]
    for layer in missing:
        state, _, why = absence(reasons(layer, notes)).partition(": ")
        parts.append(f"layer {layer} is {state} ({why or 'the killer did not say why'}): {HELP[layer]}")
    return "; ".join(parts)

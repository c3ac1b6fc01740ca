"""Why a daemon that must reach a layer of the memory guarantee does not: which are active, which is not, what helps.

Imported only where a layer is required.
"""

from __future__ import annotations

# For each layer: how the killer's notes that speak of it begin, and what would help.
HELP = (
    (
        ("each sample reads", "frame stack"),
        "run it on a kernel with BPF, or to guard a cgroup on one with NUMA; for the frame stack by another version "
        "of Python",
    ),
    (
        ("SCHED_FIFO", "rt_priority", "lock_memory", "mlockall", "own cpu cgroup"),
        "run as root, with rt_priority above 0 and lock_memory 1",
    ),
    (("private pool", "reserve_kb"), "run as root, with reserve_kb above 0"),
    (
        ("no strike in the kernel",),
        "run as root on a kernel that lets it load BPF, with strike 1, strike_min_adj 1000 or less, and not observing",
    ),
    (("no PF_MEMALLOC window",), "build device/module, as its README says, and insmod lmkd_memalloc.ko"),
)


def shortfall(active: int, required: int, notes: list[str]) -> str:
    """One line if a layer up to `required` is not in `active` (a bit each), else ''. notes: the killer's."""
    missing = [layer for layer in range(required + 1) if not active >> layer & 1]
    if not missing:
        return ""
    there = ", ".join(str(layer) for layer in range(len(HELP)) if active >> layer & 1) or "none"
    wanted = f"0 to {required}" if required else "0"
    parts = [f"layers of the memory guarantee: active {there}, wanted {wanted}"]
    for layer in missing:
        begins, help_ = HELP[layer]
        why = "; ".join([note for note in notes if note.startswith(begins)]) or "the killer did not say why"
        parts.append(f"layer {layer} is not active ({why}): {help_}")
    return "; ".join(parts)

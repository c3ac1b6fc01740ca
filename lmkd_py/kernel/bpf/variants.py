"""Which of the three programs this kernel takes: found by loading them in order of preference. Loader's child only."""

from __future__ import annotations

import os
from typing import NamedTuple

from . import calls, elf
from .facts import KernelFacts
from .order import VARIANT_CURRENT, VARIANT_LIST, VARIANT_NAMES, VARIANT_WALK, BpfRefused

# The function each variant stands on, and where it came into the kernel: words for a person, never compared.
_STANDS_ON = {
    VARIANT_LIST: ("bpf_send_signal_task", "Linux 6.13"),
    VARIANT_WALK: ("bpf_send_signal_task", "Linux 6.13"),
}
# Where the kernel does not take the first form of a program the second is tried: device/bpf/claim.h.
_FORMS = {VARIANT_CURRENT: ("current", "current_plain")}
_PLAIN = "its form without compare-exchange (Linux 5.12, arm64 5.18)"
# Initial namespaces have fixed inode numbers (include/linux/proc_ns.h): BPF looks pids and start times up there.
_INITIAL = (("pid", 0xEFFFFFFC), ("time", 0xEFFFFFFA))


class Loaded(NamedTuple):
    """The program that was taken, and why the ones before it were not."""

    variant: int
    prog_fd: int
    notes: tuple[str, ...]


def load_first(
    parsed: elf.Object, place: str, wanted: tuple[int, ...], maps: dict[str, int], facts: KernelFacts
) -> Loaded:
    """Load the first of `wanted` for the domain `place` (memcg, system). BpfRefused with one line if none is taken."""
    notes: list[str] = []
    for variant in wanted:
        name = VARIANT_NAMES[variant]
        reason = _why_not(variant)
        if reason:
            notes.append(f"{name}: {reason}")
            continue
        refused: list[str] = []
        for form in _FORMS.get(variant, (name,)):
            fd, reason = _load(parsed, place, variant, form, maps, facts)
            if fd >= 0:
                notes += [f"{name}: {_PLAIN}: {why}" for why in refused]
                return Loaded(variant, fd, tuple(notes))
            refused.append(reason)
        notes.append(f"{name}: {', and '.join(refused)}")
    raise BpfRefused("this kernel accepts no strike program: " + "; ".join(notes))


def _load(
    parsed: elf.Object, place: str, variant: int, form: str, maps: dict[str, int], facts: KernelFacts
) -> tuple[int, str]:
    # (descriptor, ""), or (-1, why not)
    program = parsed.programs.get(f"{place}/{form}")
    if program is None:
        raise BpfRefused(f"strike.o has no program {place}/{form}; wanted the object of this release: reinstall")
    missing = _missing(program, facts)
    if missing:
        return -1, _absent(variant, missing, facts)
    try:
        return calls.prog_load(f"lmkd_{form}", elf.fill(program, maps, facts.function_ids())), ""
    except calls.Rejected as error:
        return -1, str(error)


def _missing(program: elf.Program, facts: KernelFacts) -> str:
    known = facts.function_ids()
    calls_needed = [each.name for each in program.references if each.kind == elf.R_BPF_64_32]
    return next((name for name in calls_needed if name not in known), "")


def _absent(variant: int, missing: str, facts: KernelFacts) -> str:
    if facts.by_experiment:
        return "it calls kernel functions by BTF id; needs CONFIG_DEBUG_INFO_BTF"
    stands_on, since = _STANDS_ON.get(variant, ("", ""))
    # Named first whatever is missing beside it: it is the youngest.
    return f"this kernel has no {stands_on or missing}; needs {since or 'a newer kernel'}"


def _why_not(variant: int) -> str:
    if variant == VARIANT_CURRENT:
        return ""
    for kind, initial in _INITIAL:
        try:
            found = os.stat(f"/proc/self/ns/{kind}").st_ino
        except OSError:  # no such namespaces in this kernel
            continue
        if found != initial:
            return f"this process has a {kind} namespace of its own; BPF needs the pids of the initial one"
    return ""

"""What was found, judged and put into words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.notes import Note
from ...kernel.sensing.perf import PAGE_FAULTS, RECLAIM_EVENTS
from ...wire.sentences import LAYER_NAMES, sentence
from ..required import reasons
from .machine import Machine
from .phases import Counts, Frozen

RECLAIM = "vmscan:"
BUFFERS = ("kmem:kmalloc", "kmem:mm_page_alloc", *RECLAIM_EVENTS)
TO_COUNT = (
    "counting needs root with CAP_PERFMON (or kernel.perf_event_paranoid -1), tracefs on /sys/kernel/tracing and a "
    "kernel with tracepoints"
)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)] if ordered else 0.0


def layers(active: int, machine: Machine, notes: Sequence[Note]) -> list[dict[str, Any]]:
    """One object a layer. `shown`: what it does could be counted here; a killer's word for layer 0 shows nothing."""
    found = []
    for number, name in enumerate(LAYER_NAMES):
        is_active = bool(active >> number & 1)
        said = "; ".join(sentence(note) for note in reasons(number, notes))
        why = "" if is_active else machine.why[number] or said or "the killer did not say why"
        is_shown = number != 0 or not machine.uncounted
        if is_active and not is_shown:
            why = f"{machine.uncounted}; {TO_COUNT}"
        found.append(
            {
                "layer": number,
                "name": name,
                "active": is_active,
                "supported": not machine.why[number],
                "shown": is_shown,
                "why": why,
            }
        )
    return found


def judge(found: dict[str, Any], quiet: Counts, busy: Counts, frozen: Frozen | None) -> list[str]:
    """Why the guarantee does not hold here; nothing where it does."""
    wrong = [
        f"layer {layer['layer']} is not active, though this machine supports it: {layer['why']}"
        for layer in found["layers"]
        if layer["supported"] and not layer["active"]
    ]
    if found["uncounted"]:
        wrong.append(f"layer 0 was not tested, because nothing could be counted: {found['uncounted']}; {TO_COUNT}")
    for counts, what, number in ((quiet, "wakeups", quiet.wakeups), (busy, "kills", busy.kills)):
        took = counts.events
        if found["access_faults"] and set(took) <= set(PAGE_FAULTS):
            # Where the CPU does not set the accessed bit the kernel does, in a fault that takes nothing and waits for
            # nobody; MGLRU clears the bit of locked pages, too.
            took = {}
        if not found["layers"][0]["supported"]:
            # A read that allocates takes a buffer, no more: who opens files here is still caught.
            took = {name: count for name, count in took.items() if name not in BUFFERS}
        if took:
            words = ", ".join([f"{name.partition(':')[2]} {count}" for name, count in sorted(took.items())])
            wrong.append(f"layer 0 does not hold: the killer took memory in {number} {what}: {words}")
        if any(name.startswith(RECLAIM) for name in counts.events):
            wrong.append("the killer entered memory reclaim")
    if quiet.wakeups == 0:
        wrong.append("the killer never woke: the readers made no pressure")
    if busy.kills == 0:
        wrong.append("nobody was killed: the readers made no pressure")
    if found["layers"][1]["active"] and quiet.major_faults + busy.major_faults:
        wrong.append(f"layer 1 does not hold: {quiet.major_faults + busy.major_faults} major faults of the killer")
    if found["layers"][2]["active"] and busy.kills and not found["pool_given_back"]:
        wrong.append("layer 2 does not hold: the steward acted without giving its pool back")
    if frozen is not None:
        wrong += _judge_strike(frozen, found["variant"])
    if found["oom_kills"]:
        wrong.append(f"the kernel's own OOM killer killed {found['oom_kills']} in the group")
    return wrong


def _judge_strike(frozen: Frozen, variant: str) -> list[str]:
    wrong = []
    if not frozen.struck:
        wrong.append("layer 3 does not hold: the kernel killed nobody while the daemon was stopped")
    elif variant != "current" and list(frozen.struck) != sorted(frozen.struck, reverse=True):
        wrong.append(f"layer 3 does not hold: processes died in another order than the list: {frozen.struck}")
    elif variant != "current" and len(frozen.struck) < frozen.listed:
        wrong.append(f"layer 3 does not hold: {len(frozen.struck)} of {frozen.listed} were killed in time")
    if frozen.wrong:
        wrong.append(f"layer 3 does not hold: {frozen.wrong} processes died that had to live")
    if frozen.filed < len(frozen.struck):
        wrong.append(f"of {len(frozen.struck)} strikes in the kernel {frozen.filed} are in the trace")
    return wrong


def lines(found: dict[str, Any]) -> list[str]:
    """What the selftest prints of the findings."""
    told = [f"group {found['group']}, {found['limit_mib']} MiB; {found['kernel']}, Python {found['python']}"]
    for layer in found["layers"]:
        state = "NOT ACTIVE" if layer["supported"] else "not here"
        if layer["active"]:
            state = "active" if layer["shown"] else "NOT TESTED"
        told.append(f"layer {layer['layer']} {state:<10} {layer['name']}{': ' + layer['why'] if layer['why'] else ''}")
    if found["uncounted"]:
        told.append(f"allocations cannot be counted here: {found['uncounted']}")
    else:
        for key, per in (("quiet", "wakeups"), ("busy", "kills")):
            counts = found[key]
            said = ", ".join([f"{name.partition(':')[2]} {count}" for name, count in sorted(counts["events"].items())])
            told.append(f"allocations, reclaims and mappings in {counts[per]} {per}: {said or 'none'}")
        pages = found["busy"]["pages_of_reapers"] / max(1, found["busy"]["kills"])
        told.append(f"process_mrelease, in separate threads: {pages:.1f} pages a kill")
    latency = found["latency_us"]
    told.append(
        f"wake-up to signal, µs: p50 {latency['p50']:.0f}, p99 {latency['p99']:.0f}, max {latency['max']:.0f}"
        f" ({latency['kills']} kills)"
    )
    faults = [found[key][name] for name in ("minor_faults", "major_faults") for key in ("quiet", "busy")]
    told.append(f"page faults of the killer: minor {faults[0] + faults[1]}, major {faults[2] + faults[3]}")
    strike = found["strike"]
    if strike is not None:
        told.append(
            f"strike in the kernel ({'; '.join([found['variant'], *found['strike_notes']])}), daemon stopped: "
            f"{len(strike['struck'])} dead, the first after {strike['first_ms']:.0f} ms; {strike['filed']} in the trace"
        )
    told += [f"WRONG: {sentence}" for sentence in found["wrong"]]
    active = " ".join([str(layer["layer"]) for layer in found["layers"] if layer["active"]])
    verdict = f"layers {active} hold here"
    if found["wrong"]:
        verdict = "the guarantee does not hold here"
        if found["uncounted"] and len(found["wrong"]) == 1:
            verdict = "the guarantee was not tested here: allocations could not be counted"
    told.append(f"verdict: {verdict}")
    return told

"""Notes in words: the one place where a fact becomes a sentence. For `check`, `status`, the log and people's tools.

Nothing reads a sentence back.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..core.notes import FRAME_SPARE_WANTED_BYTES, Note
from ..core.vocabulary import HOLDING, LACKING, OFF_BY_CONFIG, NoteKind

if TYPE_CHECKING:
    from collections.abc import Iterable

LAYER_NAMES = (
    "the kill path allocates nothing",
    "memory locked, real-time priority",
    "the steward's private pool",
    "the kernel strikes when the killer does not answer",
    "PF_MEMALLOC from trigger to last kill",
)

_WANTED = f"wanted {FRAME_SPARE_WANTED_BYTES} bytes to spare: a call on the kill path may map memory"
# The fields of a note, `why`: its text, else what its errno means; and `place`: "subject: ", if there is one.
_SENTENCES = {
    NoteKind.SAMPLE_ALLOCATES: "each sample reads {subject}, which allocates: no layer 0",
    NoteKind.FRAME_STACK: "frame stack: {number} bytes to spare",
    NoteKind.FRAME_STACK_SHORT: "frame stack: {number} bytes to spare, " + _WANTED,
    NoteKind.FRAME_STACK_UNKNOWN: "frame stack: not found in this Python, " + _WANTED,
    NoteKind.RT_PRIORITY_OFF: "rt_priority 0: no real-time priority",
    NoteKind.SCHED_FIFO_REFUSED: "SCHED_FIFO {number} refused: {why}",
    NoteKind.RT_QUOTA: "cpu cgroup {subject}: real-time quota {number} of 100 ms",
    NoteKind.CPU_CGROUP_REFUSED: "own cpu cgroup refused: {why}",
    NoteKind.CPU_CGROUP_GIVEN_UP: "own cpu cgroup given up: SCHED_FIFO {number} is refused in it",
    NoteKind.LOCK_MEMORY_OFF: "lock_memory 0: the killer can be paged out",
    NoteKind.MLOCKALL_REFUSED: "mlockall refused: {why}",
    NoteKind.POOL: "private pool: {number} kB locked by the steward",
    NoteKind.POOL_OFF: "reserve_kb 0: no private pool",
    NoteKind.POOL_NONE_HERE: "no private pool with {number} MiB of RAM, unless reserve_kb asks for one",
    NoteKind.POOL_REFUSED: "private pool of {number} kB refused: {why}",
    NoteKind.STRIKE: "strike in the kernel: {subject}",
    NoteKind.STRIKE_OFF: "strike.enabled 0: no kicks and no strike in the kernel",
    NoteKind.STRIKE_KICKS_ONLY: "no strike in the kernel: kicks only, as the configuration lets it kill nobody",
    NoteKind.STRIKE_REFUSED: "no strike in the kernel: {why}",
    NoteKind.STRIKE_WEAKER: "{text}",
    NoteKind.WINDOW_ABSENT: "no PF_MEMALLOC window: no {subject}; the module of device/module is not loaded",
    NoteKind.WINDOW_REFUSED: "no PF_MEMALLOC window: {place}{why}",
    NoteKind.OOM_SCORE_ADJ_REFUSED: "oom_score_adj -1000 refused: {why}",
    NoteKind.COMPACTION_REFUSED: "vm.compact_unevictable_allowed 0 refused: {why}",
    NoteKind.MEMORY_CGROUPS_ABSENT: "no memory cgroups",
    NoteKind.MEMORY_CGROUP_REFUSED: "own memory cgroup refused: {why}",
    NoteKind.MEMORY_CGROUP_UNLIMITED: "memory cgroup {subject}: no limit",
    NoteKind.MEMORY_CGROUP_LEFT: "memory cgroup {subject}: left {text}, which is limited",
    NoteKind.MEMORY_MIN: "memory cgroup {subject}: memory.min {number} MiB",
    NoteKind.MEMORY_MIN_SHORT: (
        "memory cgroup {subject}: memory.min, of which {number} MiB count: the cgroups above it have no more"
    ),
    NoteKind.PRESSURE_FILE_ABSENT: "{subject}: this kernel or domain has no memory pressure file",
    NoteKind.V1_CGROUP_ABSENT: "{subject}: the domain has no v1 memory cgroup",
    NoteKind.TRIGGER_REFUSED: "{subject}: {why}",
    NoteKind.FILE_LACKING: "{subject}: {why}; left out",
    NoteKind.FILE_UNREADABLE: "{text}; left out",
    NoteKind.RECLAIM_UNCOUNTED: (
        "{subject}: 0 of 3 counters of reclaim (pgscan_kswapd, pgscan_direct, pgrefill), as on a kernel without "
        "CONFIG_VM_EVENT_COUNTERS: direct reclaim is never seen, and rules that need it stay silent"
    ),
    NoteKind.REFAULTS_UNCOUNTED: (
        "{subject}: no counter of refaults (workingset_refault): thrashing is never seen, and rules that need it stay "
        "silent"
    ),
    NoteKind.HIDDEN_PROCESSES: (
        "/proc is mounted with {subject}: {text} processes are visible, and only those can be candidates; run as root, "
        "or remount /proc with hidepid=0 or with gid= of a group of this user"
    ),
    NoteKind.DOMAIN_CHOSEN: "domain.kind AUTO: {text}",
    NoteKind.KILLER_DEAD: "{subject} is dead; the next one is forked in {number} s",
    NoteKind.TRIGGER_AWAITED: "{subject} is lost; next try in {number} s, until then one sample a second",
    NoteKind.KILLER_STARTED: "killer {number} started",
    NoteKind.KILLER_DIED: "killer {number} ended{told}; forking another",
    NoteKind.KILLER_FAILED: "{text}",
    NoteKind.KILLERS_DIE_YOUNG: "{number} killers in a row lived less than a second; the next ones come with pauses",
    NoteKind.HANDOVER: "{subject} ended, killer {number} live",
    NoteKind.BEQUEST: "killer {number} died together with its steward; its records are filed",
    NoteKind.STOPPED: "stopped: {text}",
    NoteKind.DOMAIN_GONE: "{subject}: the guarded domain is gone",
    NoteKind.DOMAIN_BACK: "{subject}: the guarded domain is there again, after {number} ms",
    NoteKind.CANDIDATES: "{text}",
    NoteKind.REFUSED: "{text}",
    NoteKind.MEMBERSHIP: "the victim's cgroup was last checked {number} ms before the strike",
    NoteKind.OOM_KILLS: "{number} kills by the kernel's OOM killer in the guarded memory, so far",
    NoteKind.KILLS_HELD: "{text}",
    NoteKind.KILLS_RESUMED: "kills resumed: memory became free, or refaults fell",
    NoteKind.SWAP_CHANGED: "swap areas came or went",
    NoteKind.SWAP_REFUSED: "no killer for the new swap areas; the one that guards knows the former ones: {why}",
    NoteKind.PAGED_OUT: "idle processes paged out: {number}; {text}",
    NoteKind.PAGE_OUT_REFUSED: "cannot page out {place}{why}",
    NoteKind.TRIGGER_LOST: "{subject}: the kernel removed this trigger; the domain is sampled once a second instead",
    NoteKind.TRIGGER_ARMED: "{subject}: armed again",
    NoteKind.REARM_REFUSED: "lost triggers could not be armed again: {why}",
    NoteKind.STRIKE_LAPSED: (
        "strike in the kernel: a kick stayed unanswered for a whole lease, so it disarmed itself; armed again"
    ),
    NoteKind.LOST: "{number} records or strikes are in no trace: {text}",
    NoteKind.UNREADABLE_RECORD: "a record that cannot be read: {text}",
    NoteKind.ERROR: "{text}",
    NoteKind.RELOADED: "config {subject} in force, generation {number}",
    NoteKind.RELOAD_REFUSED: "reload refused, the old config stays: {why}",
    NoteKind.CONFIG_REVERTED: "the pushed config was taken back; {subject} is in force again, generation {number}",
    NoteKind.CLOCK_SET: "the clock was set, or the machine slept",
    NoteKind.NOTES_LEFT_OUT: "{number} more notes left out: the killer's report is full",
}


def reason(note: Note) -> str:
    """Why something was refused, in words."""
    if note.text or not note.errno:
        return note.text
    # A damaged trace may hold any number; strerror() takes an int of C.
    return os.strerror(note.errno) if 0 < note.errno < 1 << 12 else f"errno {note.errno}"


def sentence(note: Note) -> str:
    """One line. Of a kind that is not known here (a newer daemon's) its text, or its fields."""
    form = _SENTENCES.get(note.kind)
    if form is not None:
        told, place = f": {note.text}" if note.text else "", f"{note.subject}: " if note.subject else ""
        return form.format(why=reason(note), told=told, place=place, **note._asdict())
    if note.text:
        return note.text
    parts = (note.kind, note.subject, str(note.number) if note.number else "", reason(note))
    return ": ".join(part for part in parts if part)


def absence(notes: Iterable[Note]) -> str:
    """Of a layer that is not active, by the notes of it: `not active`, or `off (config)`, and why."""
    whys = [note for note in notes if note.kind not in HOLDING]
    state = "off (config)" if any(note.kind in OFF_BY_CONFIG for note in whys) else "not active"
    return ": ".join(part for part in (state, "; ".join(sentence(note) for note in whys)) if part)


def standing(layers: int, notes: Iterable[Note]) -> list[str]:
    """Lines: each layer that is not in `layers` (a bit each), and the notes of no layer."""
    known = list(notes)
    off = [number for number in range(len(LAYER_NAMES)) if not layers >> number & 1]
    return [
        *(f"layer {number} {absence(note for note in known if note.layer == number)}" for number in off),
        *(line(note) for note in known if note.layer < 0),
    ]


def line(note: Note) -> str:
    """The sentence, marked as what is `missing` or what is merely to be known."""
    return f"{'missing' if note.kind in LACKING else 'note'} {sentence(note)}"

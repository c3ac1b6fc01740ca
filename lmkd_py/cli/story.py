"""One explained kill as lines of text."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from datetime import UTC, datetime

from ..analysis.explanation import After, Considered, Death, Explanation, LeftOut, Reading
from ..analysis.rungs import MATCHED, SILENT, Answer
from ..core.vocabulary import ABSENT, KillReason

WIDTH = 118
LABEL = 12


def one_line(number: int, told: Explanation) -> str:
    """Victim, time, reason, trigger, latency and death, joined by semicolons."""
    who = process(told.victim) if told.victim else "nobody"
    spared = ", observed only: nobody was signalled" if told.observe else ""
    begun = [f"kill {number}{spared}: {who}", _when(told), reason(told), f"by {told.trigger}"]
    parts = [*begun, f"{total_us(told):.0f} us to the signal"]
    if told.death and told.death.died_after_us is not None:
        parts.append(f"dead after {told.death.died_after_us / 1000:.1f} ms")
    if told.left_out:
        parts.append(left_out(told.left_out))
    return "; ".join(parts)


def left_out(before: LeftOut) -> str:
    """How many wakeups before this one the trace has no record of, and how bad things were meanwhile."""
    wakeups, were = ("wakeup", "was") if before.wakeups == 1 else ("wakeups", "were")
    words = f"{before.wakeups} {wakeups} without a kill before it {were} left out"
    if before.min_free_kb != ABSENT:
        words += f", free memory at least {before.min_free_kb // 1024} MiB"
    if before.max_psi_some_pct is not None:
        words += f", PSI some at most {before.max_psi_some_pct:.1f} %"
    return words


def process(one: Considered) -> str:
    """`name (pid 12, adj 900, 23004 kB)`, with comm where that is another name, without a size that was not read.

    The names are as they are, not made safe.
    """
    size = "" if one.size_kb is None else f", {one.size_kb} kB"
    size += f" and {one.swap_kb} kB of swap" if size and one.swap_kb else ""
    comm = f"comm {one.comm}, " if one.comm else ""
    return f"{one.name or '(no name)'} ({comm}pid {one.pid}, adj {one.adj}{size})"


def reason(told: Explanation) -> str:
    """The verdict: AOSP's name and words, and the floor."""
    try:
        name = KillReason(told.reason).name
    except ValueError:
        name = f"reason {told.reason}"
    floor = "" if told.min_adj == ABSENT else f", min_adj {told.min_adj}"
    return f"{name}: {told.text}{floor}"


def total_us(told: Explanation) -> float:
    """Microseconds from the wakeup to the last signal."""
    return next((phase.us for phase in told.phases if phase.name == "total"), 0.0)


def full(number: int, of: int, told: Explanation) -> list[str]:
    """The kill as a labelled report, at most WIDTH columns wide."""
    lines = [f"kill {number} of {of}{'  (observed only: nobody was signalled)' if told.observe else ''}"]
    lines += _row("victim", process(told.victim) if told.victim else "nobody")
    if told.victim and told.victim.cgroup:
        lines += _row("", f"uid {told.victim.uid}, cgroup {told.victim.cgroup}")
    if told.passed_over:
        lines += _row("", f"for its size goes before {process(told.passed_over)}, which is next in line")
    if told.members_age_ms != ABSENT:
        lines += _row("", f"in the guarded cgroup when last checked, {told.members_age_ms} ms before the strike")
    lines += _row("when", _when(told))
    level = f", level {told.level}" if told.level else ""
    lines += _row("trigger", f"{told.trigger}; {told.kind}{level}")
    lines += _row("reason", reason(told) + (f" ({told.floor_note})" if told.floor_note else ""))
    lines += _row("rule", _rule(told))
    for rung in told.rungs:
        if rung.word == SILENT:
            lines += _row("", _silence(rung))
    lines += _row("signals", _readings(told.signals))
    lines += _row("values", _readings(told.values))
    considered = "; ".join(process(one) + (" <- struck" if one.struck else "") for one in told.victims)
    lines += _row("considered", f"{told.considered}: {considered}" if considered else str(told.considered))
    if told.attempts > 1 or told.error:
        code = errno.errorcode.get(-told.error, str(told.error)) if told.error else "none"
        lines += _row("strikes", f"{told.attempts} tried, last error {code}")
    lines += _row("phases", ", ".join(f"{phase.name} {phase.us:.0f} us" for phase in told.phases))
    lines += _row("death", _death(told))
    if told.after:
        lines += _row("freed", _freed(told.after, told.death))
    for later_ms, what in told.paged_out:
        lines += _row("", f"{abs(later_ms) / 1000:.1f} s {'before' if later_ms < 0 else 'after'}: {what}")
    layers = " ".join(map(str, told.layers)) or "none"
    lines += _row("record", f"{told.seq} of killer {told.killer_pid}, layers active: {layers}")
    if told.left_out:
        lines += _row("", f"{left_out(told.left_out)}, within {told.left_out.during_ms} ms")
    for layer, why in told.layers_off:
        lines += _row(f"layer {layer}", why)
    return lines


def _row(label: str, text: str) -> list[str]:
    lines = wrapped(text, WIDTH - LABEL - 2)
    return [f"  {label:<{LABEL}}{lines[0]}", *(" " * (LABEL + 2) + line for line in lines[1:])]


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken at spaces; a longer word has a line of its own.

    textwrap takes 20 times as long, which shows when thousands of kills are told.
    """
    lines = []
    while len(text) > width:
        at = text.rfind(" ", 0, width + 1)
        if at <= 0:
            at = text.find(" ", width)
        if at < 0:
            break
        lines.append(text[:at])
        text = text[at + 1 :]
    return [*lines, text]


def _when(told: Explanation) -> str:
    since = f"{told.monotonic_ms / 1000:.3f} s after boot"
    if told.realtime_ns is None:
        return since
    try:
        clock = datetime.fromtimestamp(told.realtime_ns / 1e9, UTC)
    except (OverflowError, ValueError, OSError):  # a damaged header
        return since
    return f"{clock:%Y-%m-%d %H:%M:%S} UTC, {since}"


def _rule(told: Explanation) -> str:
    matched = next((rung for rung in told.rungs if rung.word == MATCHED), None)
    if matched is None:
        return told.rule or "not known"
    return _matched(matched)


def _matched(matched: Answer) -> str:
    met = ", ".join(f"{one.wanted} ({one.found})" for one in matched.conditions)
    motive = matched.motive.partition("\n")[0]
    return f"{matched.rule}: {motive} It needs {met}." if met else f"{matched.rule}: {motive}"


def _silence(rung: Answer) -> str:
    lacking = rung.lacking
    if not lacking:
        return f"no match: {rung.rule}"
    return f"no match: {rung.rule} needs {lacking[0].wanted}; {lacking[0].found}"


def _readings(readings: Iterable[Reading]) -> str:
    return ", ".join(_reading(one) for one in readings)


def _reading(one: Reading) -> str:
    if one.name.startswith(("breached ", "reclaim ")):  # the word says it, the number is the enum's
        return one.name
    value = f"{one.value:g}" if isinstance(one.value, float) else str(one.value)
    return f"{one.name} {value} {one.unit}".rstrip()


def _freed(after: After, death: Death | None) -> str:
    words = f"{after.freed_kb} kB more free at a wakeup {after.after_ms} ms later"
    if death and death.died_after_us is not None and death.died_after_us > after.after_ms * 1000:
        words += ", before it was dead"
    return words


def _death(told: Explanation) -> str:
    death = told.death
    if death is None:
        return "not told in this trace"
    words = "not seen" if death.died_after_us is None else f"{death.died_after_us:.0f} us after the signal"
    if death.reap_error == -errno.ENOSYS:
        return f"{words}; nothing reaped it: process_mrelease came with Linux 5.15"
    if death.reap_us is not None:
        words += f"; process_mrelease took {death.reap_us:.0f} us"
    if death.reap_error:
        code = -death.reap_error
        gone = ": it was gone already" if code == errno.ESRCH else ""
        words += f" and gave {errno.errorcode.get(code, str(-code))}{gone}"
    return words

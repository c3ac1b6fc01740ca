"""Explain a strike in the kernel: nobody decided it, so there is no snapshot and no ladder; a kick was not answered."""

from __future__ import annotations

from ..core.vocabulary import ABSENT
from ..wire.header import Header, Process, Strike
from .contents import Trace
from .explanation import Considered, Explanation, Phase

TRIGGER = "bpf kick"
RULE = "in_kernel_strike"


def explain_strike(trace: Trace, strike: Strike) -> Explanation:
    """The same parts as of a decided kill, as far as a strike has them."""
    header = next((each for each in reversed(trace.headers) if each.killer_pid == strike.killer_pid), None)
    waited_us = (strike.monotonic_ns - strike.kick_ns) / 1000
    who = _process(trace, strike)
    victim = Considered(
        pid=strike.pid,
        uid=who.uid if who else ABSENT,
        name=who.name if who else "",
        adj=strike.adj,
        size_kb=_size_kb(header, strike),
        struck=True,
    )
    size_unknown = "; how much memory the victim had is not known" if strike.rss_pages == ABSENT else ""
    return Explanation(
        index=ABSENT,
        seq=strike.number,
        killer_pid=strike.killer_pid,
        monotonic_ms=strike.monotonic_ns // 1_000_000,
        realtime_ns=header.start_realtime_ns + strike.monotonic_ns - header.start_monotonic_ns if header else None,
        observe=False,
        layers=tuple(layer.number for layer in header.layers if layer.active) if header else (),
        trigger=TRIGGER,
        kind="strike",
        level="",
        action="kill",
        values=(),
        signals=(),
        rungs=(),
        reason=strike.reason,
        rule=RULE,
        text=f"the kernel struck, as a kick had not been answered for {waited_us / 1000:.0f} ms{size_unknown}",
        min_adj=ABSENT,
        floor_note="",
        victims=(victim,),
        considered=1,
        victim=victim,
        attempts=1,
        error=0,
        phases=(Phase("unanswered", waited_us), Phase("total", waited_us)),
        death=None,
        after=None,
    )


def _process(trace: Trace, strike: Strike) -> Process | None:
    if strike.start_ticks != ABSENT:
        return trace.processes.get((strike.pid, strike.start_ticks))
    # Not every kernel tells when its victim began: only one such process can have been meant.
    named = [process for process in trace.processes.values() if process.pid == strike.pid]
    return named[0] if len(named) == 1 else None


def _size_kb(header: Header | None, strike: Strike) -> int | None:
    if header is None or strike.rss_pages == ABSENT:
        return None
    return strike.rss_pages * header.page_size_bytes // 1024

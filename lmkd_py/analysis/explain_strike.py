"""Explain a strike in the kernel: nobody decided it, so there is no snapshot and no ladder; a kick was not answered."""

from __future__ import annotations

from ..core.vocabulary import ABSENT
from ..wire.header import Header, Process, Strike
from ..wire.sentences import absence
from .contents import Trace
from .explanation import Considered, Explanation, Phase
from .names import names_of

TRIGGER = "bpf kick"
RULE = "in_kernel_strike"
_LAYERS = range(63)  # a record has a bit for each; a forged header may have any number


def layers_off(header: Header, active: int) -> tuple[tuple[int, str], ...]:
    """Layers that are not in `active` (a bit each), each with how that is and what the killer noted about it."""
    return tuple(
        (layer.number, absence(layer.notes))
        for layer in header.layers
        if layer.number in _LAYERS and not active >> layer.number & 1
    )


def _active(header: Header) -> int:
    return sum(1 << layer.number for layer in header.layers if layer.active and layer.number in _LAYERS)


def explain_strike(trace: Trace, strike: Strike) -> Explanation:
    """The same parts as of a decided kill, as far as a strike has them."""
    header = trace.last_header_of(strike.killer_pid)
    waited_us = (strike.monotonic_ns - strike.kick_ns) / 1000
    who = _process(trace, strike)
    name, comm = names_of(who) if who else ("", "")
    victim = Considered(
        pid=strike.pid,
        uid=who.uid if who else ABSENT,
        name=name,
        adj=strike.adj,
        size_kb=_size_kb(header, strike),
        struck=True,
        comm=comm,
        cgroup=who.cgroup if who else "",
    )
    size_unknown = "; how much memory the victim had is not known" if strike.rss_pages == ABSENT else ""
    return Explanation(
        index=ABSENT,
        seq=strike.number,
        killer_pid=strike.killer_pid,
        monotonic_ms=strike.monotonic_ns // 1_000_000,
        realtime_ns=trace.clock.realtime_ns(strike.monotonic_ns),
        observe=False,
        layers=tuple(layer.number for layer in header.layers if layer.active) if header else (),
        layers_off=layers_off(header, _active(header)) if header else (),
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
        paged_out=trace.paged_out(strike.monotonic_ns // 1_000_000),
    )


def _process(trace: Trace, strike: Strike) -> Process | None:
    if strike.start_ticks != ABSENT:
        return trace.processes.get((strike.pid, strike.start_ticks))
    # Not every kernel tells when its victim began: only one such process can have been meant.
    named = trace.processes_of(strike.pid)
    return named[0] if len(named) == 1 else None


def _size_kb(header: Header | None, strike: Strike) -> int | None:
    if header is None or strike.rss_pages == ABSENT:
        return None
    return strike.rss_pages * header.page_size_bytes // 1024

"""Watches kills, deaths and wake-ups from outside the processes concerned, as the kernel itself tells them."""

from __future__ import annotations

import contextlib
import os
import select
import time
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

from tools.observer.perf import Ring, online_cpus
from tools.observer.tracefs import Tracepoint, tracepoint

KILL = "signal:signal_generate"
EXIT = "sched:sched_process_exit"
WAKING = "sched:sched_waking"
OOM_VICTIM = "oom:mark_victim"
DEFAULT_EVENTS = (KILL, EXIT, OOM_VICTIM)
SI_KERNEL = 0x80


class Event(NamedTuple):
    """One hit of any watched tracepoint; pid and tid are those of the context it happened in."""

    name: str
    time_ns: int  # CLOCK_MONOTONIC
    pid: int
    tid: int
    cpu: int
    fields: dict[str, int | str]


class Kill(NamedTuple):
    """A SIGKILL on its way to a victim. result: 0 delivered, 1 ignored, 2 already pending."""

    time_ns: int  # CLOCK_MONOTONIC
    sender_pid: int
    sender_tid: int
    sender_comm: str  # "" if the sender was gone before we could ask
    victim_pid: int  # the thread group for a group signal
    victim_comm: str
    code: int  # 0: from user space; SI_KERNEL 0x80: the kernel itself (its OOM killer, a dying pid namespace)
    result: int


class Exit(NamedTuple):
    """The end of a thread; `last` when its whole process ended with it."""

    time_ns: int
    pid: int
    tid: int
    comm: str
    last: bool


class Waking(NamedTuple):
    """Somebody made a watched thread runnable."""

    time_ns: int
    tid: int
    waker_pid: int
    waker_tid: int


class Observer:
    """`with Observer() as o: ...; o.kills()`. Needs root and tracefs; raises OSError when the kernel refuses.

    events: tracepoints by name, with `signal_generate` always filtered to SIGKILL by the kernel.
    pids: threads whose wake-ups are recorded (`sched_waking` is added when any is given).
    kib: buffer for each CPU; one record takes about 100 bytes. `lost` is 0 or the record is incomplete.
    """

    def __init__(
        self,
        events: Iterable[str] = DEFAULT_EVENTS,
        pids: Iterable[int] = (),
        filters: dict[str, str] | None = None,
        kib: int = 4096,
    ) -> None:
        names = list(events)
        woken = list(pids)
        if woken and WAKING not in names:
            names.append(WAKING)
        conditions = {KILL: "sig==9", WAKING: _any_pid(woken), **(filters or {})}
        self._names = names
        self._points: dict[int, Tracepoint] = {point.number: point for point in map(tracepoint, names)}
        self._events: list[Event] = []
        self._comms: dict[int, str] = {}
        self._rings: list[Ring] = []
        self._lost = 0
        wanted = [(number, conditions.get(point.name, "")) for number, point in self._points.items()]
        try:
            for cpu in online_cpus():
                self._rings.append(Ring(cpu, wanted, max(1, kib * 1024 // os.sysconf("SC_PAGESIZE"))))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Observer:
        for ring in self._rings:
            ring.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Takes what is left and gives the buffers back; the results stay readable."""
        if self._rings:
            self.drain()
            self._lost = sum(ring.lost() for ring in self._rings)
        for ring in self._rings:
            ring.close()
        self._rings.clear()

    def watch(self, pids: Iterable[int]) -> None:
        """From now on records the wake-ups of these threads; `sched_waking` must be among the events."""
        for ring in self._rings:
            ring.restrict(self._names.index(WAKING), _any_pid(list(pids)))

    @property
    def lost(self) -> int:
        """Hits that found a buffer full. Anything but 0 means that the lists are incomplete."""
        return sum(ring.lost() for ring in self._rings) if self._rings else self._lost

    def drain(self) -> None:
        """Empties the kernel's buffers. Called by every query; call it yourself in a run of many events."""
        fresh = []
        for ring in self._rings:
            for sample in ring.drain():
                raw = memoryview(sample.raw)
                point = self._points[int.from_bytes(raw[:2], "little")]  # common_type is first in every record
                event = Event(point.name, sample.time_ns, sample.pid, sample.tid, sample.cpu, point.values(raw))
                fresh.append(event)
                self._learn_comm(event)
        if fresh:
            self._events.extend(fresh)
            self._events.sort(key=lambda event: event.time_ns)

    def _learn_comm(self, event: Event) -> None:
        # A tracepoint does not carry its context's name: ask while it lives, or read it off its own exit record.
        if event.name == EXIT:
            self._comms[event.tid] = str(event.fields["comm"])
        elif event.name == KILL and event.tid not in self._comms:
            with contextlib.suppress(OSError), open(f"/proc/{event.tid}/comm", errors="replace") as stream:
                self._comms[event.tid] = stream.read().rstrip("\n")

    def events(self, name: str | None = None) -> list[Event]:
        """Everything seen so far, oldest first; only one tracepoint's if `name` is given."""
        self.drain()
        return [event for event in self._events if name is None or event.name == name]

    def kills(self) -> list[Kill]:
        """Every SIGKILL seen so far, oldest first."""
        return [self._kill(event) for event in self.events(KILL)]

    def _kill(self, event: Event) -> Kill:
        of = event.fields
        comm = self._comms.get(event.tid, "")
        return Kill(
            event.time_ns,
            event.pid,
            event.tid,
            comm,
            int(of["pid"]),
            str(of["comm"]),
            int(of["code"]),
            int(of["result"]),
        )

    def exits(self) -> list[Exit]:
        """Every thread that ended so far, oldest first."""
        return [
            # group_dead came with Linux 6.16; before it a process counts as gone with its leader's exit.
            Exit(e.time_ns, e.pid, e.tid, str(e.fields["comm"]), bool(e.fields.get("group_dead", e.pid == e.tid)))
            for e in self.events(EXIT)
        ]

    def wakings(self) -> list[Waking]:
        """Every wake-up of a watched thread so far, oldest first."""
        return [Waking(e.time_ns, int(e.fields["pid"]), e.pid, e.tid) for e in self.events(WAKING)]

    def oom_victims(self) -> list[int]:
        """Pids that the kernel's own OOM killer chose so far."""
        return [int(event.fields["pid"]) for event in self.events(OOM_VICTIM)]

    def wait_for_kills(self, count: int, timeout_s: float) -> list[Kill]:
        """Kills so far, once there are at least `count` or the time is over."""
        end = time.monotonic() + timeout_s
        while len(found := self.kills()) < count and (left := end - time.monotonic()) > 0:
            select.select(self._rings, [], [], min(left, 0.2))
        return found


def _any_pid(pids: list[int]) -> str:
    return "||".join(f"pid=={pid}" for pid in pids) if pids else "pid==-1"

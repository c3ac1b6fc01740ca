"""Watches kills, deaths and wake-ups from outside the processes concerned, as the kernel itself tells them."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable
from types import TracebackType
from typing import NamedTuple

from tools.observer.instance import Instance
from tools.observer.tracefs import Tracepoint, tracepoint

KILL = "signal:signal_generate"
EXIT = "sched:sched_process_exit"
WAKING = "sched:sched_waking"
OOM_VICTIM = "oom:mark_victim"
DEFAULT_EVENTS = (KILL, EXIT, OOM_VICTIM)
SI_KERNEL = 0x80


class Event(NamedTuple):
    """One hit of any watched tracepoint, and the thread in whose context it happened (0: an idle CPU).

    pid is that thread's process, or the thread itself where the process was gone before we could ask.
    """

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
        self._points: dict[int, Tracepoint] = {point.number: point for point in map(tracepoint, names)}
        self._events: list[Event] = []
        self._comms: dict[int, str] = {}
        self._pids: dict[int, int] = {}
        self._lost = 0
        self._instance: Instance | None = Instance(kib)
        try:
            for name in names:
                if conditions.get(name):
                    self._instance.restrict(name, conditions[name])
                self._instance.enable(name)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Observer:
        assert self._instance is not None
        self._instance.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Takes what is left and gives the buffers back; the results stay readable."""
        if self._instance is not None:
            self._instance.stop()
            self.drain()
            self._lost = self.lost
            self._instance.remove()
            self._instance = None

    def watch(self, pids: Iterable[int]) -> None:
        """From now on records the wake-ups of these threads; `sched_waking` must be among the events."""
        assert self._instance is not None
        self._instance.restrict(WAKING, _any_pid(list(pids)))

    @property
    def lost(self) -> int:
        """Hits that found a buffer full. Anything but 0 means that the lists are incomplete."""
        return sum(ring.lost() for ring in self._instance.rings) if self._instance else self._lost

    def drain(self) -> None:
        """Empties the kernel's buffers. Called by every query; call it yourself in a run of many events."""
        fresh = []
        for ring in self._instance.rings if self._instance else ():
            for hit in ring.drain():
                point = self._points.get(int.from_bytes(hit.raw[:2], "little"))  # common_type is first in every record
                if point is None:
                    continue  # a marker of the tracer's own
                fields = point.values(hit.raw)
                tid = int(fields["common_pid"])
                fresh.append(event := Event(point.name, hit.time_ns, self._pid(tid), tid, hit.cpu, fields))
                self._learn_comm(event)
        if fresh:
            self._events.extend(fresh)
            self._events.sort(key=lambda event: event.time_ns)

    def _pid(self, tid: int) -> int:
        # A record tells the thread only; who it belongs to is asked while it lives.
        if tid not in self._pids:
            pid = tid
            with contextlib.suppress(OSError), open(f"/proc/{tid}/status", errors="replace") as stream:
                pid = next((int(line.split()[1]) for line in stream if line.startswith("Tgid:")), tid)
            self._pids[tid] = pid
        return self._pids[tid]

    def _learn_comm(self, event: Event) -> None:
        # A tracepoint does not carry its context's name: ask while it lives, or read it off its own exit record.
        if event.name == EXIT:
            self._comms[event.tid] = str(event.fields["comm"])
            self._pids.pop(event.tid, None)  # the number may come back as another's
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
        while len(found := self.kills()) < count and time.monotonic() < end:
            time.sleep(0.02)
        return found


def _any_pid(pids: list[int]) -> str:
    return "||".join(f"pid=={pid}" for pid in pids) if pids else "pid==-1"

"""The simulated wait: the clock moves here and nowhere else, and steps, deaths and time-outs come in their order."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from .files import Files
from .processes import Processes

FOREVER = -1


class Over(Exception):
    """Raised where the recording ends."""


@dataclass(slots=True)
class Item:
    """A part of a step that is still to come: an `operation` nobody is told of, a `command`, or a `batch` of events."""

    kind: str
    body: Any


class Schedule:
    """Time, the steps, and which process's death wakes the daemon."""

    def __init__(self, case: dict[str, Any], files: Files, processes: Processes) -> None:
        self.now: int = case["start_ms"]
        self.step = -1
        self.awaited: int | None = None  # process number
        self.signal_failed = False
        self._steps: list[dict[str, Any]] = case["steps"]
        self._end: int = case["end_ms"]
        self._memevents = case["memevents"] == "on"
        self._files = files
        self._processes = processes
        self._outstanding: deque[Item] = deque()

    def wait(self, timeout_ms: int) -> Item | None:
        """The next thing that wakes the daemon: a `command`, a `batch`, a `death`, a `failure`; None: timed out."""
        deadline = None if timeout_ms == FOREVER else self.now + timeout_ms
        while True:
            if self.signal_failed:
                self.signal_failed = False
                return Item("failure", None)
            self._processes.die(self.now)
            if self._awaited_is_dead():
                return Item("death", None)
            if self._outstanding:
                item = self._outstanding.popleft()
                if item.kind != "operation":
                    return item
                self._processes.change(item.body)  # and see at once whether it woke the daemon
            elif not self._advance(deadline):
                return None

    def _advance(self, deadline: int | None) -> bool:
        """Move the clock to whatever comes first; False if that is the deadline."""
        death = self._processes.next_death()
        step = self._steps[self.step + 1]["t"] if self.step + 1 < len(self._steps) else None
        first = min([t for t in (death, step, deadline) if t is not None], default=self._end + 1)
        # What happens at the very end is still seen; a wait that would end there is not.
        if first > self._end or (first == self._end and first not in (death, step)):
            raise Over
        self.now = max(self.now, first)
        if death == first:
            return True
        if step == first:
            self._begin_step()
            return True
        return False

    def _begin_step(self) -> None:
        self.step += 1
        step = self._steps[self.step]
        self._files.change(step)
        for operation in step.get("proc", ()):
            quiet = operation[0] in ("state", "mem", "reuse")
            self._outstanding.append(Item("operation" if quiet else "command", operation))
        if "cfg" in step:
            self._outstanding.append(Item("command", ["reload", step["cfg"]]))
        events = [("psi", level) for level in step.get("psi_ev", ())]
        if self._memevents and step.get("mem"):
            mem = [("mem", step["mem"])]
            events = events + mem if step.get("order") == "psi_first" else mem + events
        if events:
            self._outstanding.append(Item("batch", events))

    def _awaited_is_dead(self) -> bool:
        return self.awaited is not None and self._processes.running[self.awaited].state == "D"

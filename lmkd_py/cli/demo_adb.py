"""What the demo does over ADB, whatever the board: put the daemon there, fetch its records, tell how it ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ..analysis.contents import Trace
from ..analysis.explain import explain
from ..analysis.replay import replay
from ..analysis.trace import TraceReader
from ..core.config import DEFAULTS, Config
from ..core.notes import ArmedTrigger
from ..host.collect import COLLECT, Collection
from ..host.config_push import CONFIG_PUSH, ConfigPush
from ..host.device import Device
from ..host.install import INSTALL, Installation
from ..host.payload import payload
from ..host.scripts import script
from ..host.service import Service
from ..host.steps import run_steps
from ..wire.record import Record
from . import story
from .demo_check import Claim
from .output import say
from .replay import say_losses, say_result


def put_onto(device: Device, config: Config = DEFAULTS) -> Service:
    """Install, configure and start, as the verbs of these names do."""
    with adb("install") as done:
        installation = run_steps(INSTALL, Installation(device, payload()))
        done.append(f"release {installation.tree.digest[:16]} in {installation.root}")
    with adb("config push") as done:
        pushed = run_steps(CONFIG_PUSH, ConfigPush(device, config))
        done.append(f"guards {pushed.config.monitor.domain.path or 'the whole system'}")
    service = installation.service
    with adb("start"):
        service.start(observe=False)
    for line in device.must(script('cat "$1"', service.layout.log), "reading the log").text.splitlines():
        say(f"lmkd-py: {line}")
    return service


@contextmanager
def adb(verb: str) -> Iterator[list[str]]:
    """One verb with its duration; what is appended to the list is said of it."""
    begin = time.monotonic()
    words: list[str] = []
    yield words
    say(f"over adb: {verb}: {'; '.join([*words, f'{time.monotonic() - begin:.1f} s'])}")


class TraceFollower:
    """Collects a device's trace over ADB and hands out what came since the last look."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._reader: TraceReader | None = None
        self._known = 0
        self.triggers: tuple[ArmedTrigger, ...] = ()

    def new_records(self) -> list[Record]:
        """Collect, and return the records that were not there before."""
        self._collection.changed.clear()
        run_steps(COLLECT, self._collection)
        if not self._collection.changed:
            return []
        if self._reader is None:
            self._reader = TraceReader(self._collection.changed[0].parent)
        trace = self._reader.read()
        self.triggers = trace.headers[0].triggers
        fresh = [traced.record for traced in trace.records[self._known :]]
        self._known = len(trace.records)
        return fresh


def tell_kills(trace: Trace) -> None:
    """Print one line for each kill of the trace."""
    say("explained:", "bold")
    for number in range(1, len(trace.all_kills) + 1):
        say("  " + story.one_line(number, explain(trace, number)))


def tell_claims(claims: list[Claim], trace: Trace) -> list[Claim]:
    """Each with its yes or no, and whether the trace replays: that is the last one."""
    for claim in claims:
        text = f"yes: {claim.text}" if claim.holds else f"NO: {claim.text}: {claim.found}"
        say("  " + text, "green" if claim.holds else "red")
    say_losses(trace)
    result = replay(trace)
    say_result(result)
    return [*claims, Claim("the trace replays", result.agrees)]

"""What lmkctl watch shows: memory, stall, candidates by tier, kills as they happen."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..analysis.explain import explain
from ..analysis.trace import TraceError, TraceReader
from ..core import vocabulary
from ..core.config import ConfigError, MonitorConfig
from ..host.collect import COLLECT, Collection
from ..host.config_push import device_config
from ..host.device import Device
from ..host.errors import DeviceError, Fault
from ..host.service import Service
from ..host.steps import run_steps
from ..host.watch import Look, look_at
from ..wire.header import Strike
from . import story
from .devices_do import the_device
from .options import given
from .output import safe, say
from .service import service_of
from .terminal import console

SHOWN_KILLS = 12
TIERS = sorted(
    ((value, name.removesuffix("_ADJ").removesuffix("_MIN")) for name, value in vars(vocabulary).items()
     if name.endswith("_ADJ") and isinstance(value, int) and 0 <= value < 999),
    reverse=True,
)  # fmt: skip


def run(context: typer.Context, every: float, count: int) -> None:
    """Look again and again: `count` times, 0: until Ctrl-C."""
    live = Live(console=console, transient=False, auto_refresh=False) if console.is_terminal else None
    with the_device(context) as device, tempfile.TemporaryDirectory(prefix="lmkctl-watch-") as folder:
        device.deadline = float("inf")
        service = service_of(context, device)
        kills = Kills(Collection(device, Path(folder), given(context).root))
        try:
            if live:
                live.start()
            for number in _ticks(every, count):
                fresh = _tick(device, service, kills, live)
                if not live and number == 0:
                    say(f"watching {device.serial}; kills so far: {len(kills.lines) - len(fresh)}")
        finally:
            if live:
                live.stop()


def _ticks(every: float, count: int) -> Iterator[int]:
    number = 0
    while not count or number < count:
        if number:
            time.sleep(every)
        yield number
        number += 1


def _tick(device: Device, service: Service, kills: Kills, live: Live | None) -> list[str]:
    try:
        # The config is asked each time: a push or a start may change what is guarded.
        status, look = service.status(), look_at(device, _guarded(device, service))
        fresh = kills.take()
    except DeviceError as error:
        if error.fault not in (Fault.TRANSPORT, Fault.OFFLINE, Fault.TIMEOUT):
            raise
        if live:
            live.update(Text(safe(str(error)), style="yellow"), refresh=True)
        return []
    if live:
        live.update(Group(_heading(device.serial, status, look), _table(look), *_told(kills.lines)), refresh=True)
    else:
        say(_heading(device.serial, status, look).plain.replace("\n", "; "))
        for line in fresh:
            say(f"  {line}")
    return fresh


def _guarded(device: Device, service: Service) -> MonitorConfig:
    try:
        return device_config(device, service.layout.root).monitor
    except ConfigError:
        return MonitorConfig()  # the daemon says what is wrong with it


class Kills:
    """The kills in what was collected so far, as lines."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._readers: dict[Path, TraceReader] = {}
        self._known: dict[Path, set[int | Strike]] = {}
        self.lines: list[str] = []

    def take(self) -> list[str]:
        """Fetch what is new; the lines of new kills."""
        self._collection.changed.clear()
        run_steps(COLLECT, self._collection)
        fresh: list[str] = []
        for folder in dict.fromkeys(path.parent for path in self._collection.changed):
            try:
                trace = self._readers.setdefault(folder, TraceReader(folder)).read()
            except TraceError:
                continue
            known = self._known.setdefault(folder, set())
            # A strike in the kernel is filed when the steward runs again: it may stand before what was told already.
            fresh += [
                story.one_line(number, explain(trace, number))
                for number, kill in enumerate(trace.all_kills, 1)
                if kill not in known
            ]
            known.update(trace.all_kills)
        self.lines += fresh
        return fresh


def _heading(serial: str, status: dict[str, Any], look: Look) -> Text:
    state = "not running" if not status.get("running") else "armed" if status.get("armed") else "not armed"
    mode = ", observing" if status.get("observe") else ""
    free, total = look.kb.get("MemAvailable", 0) // 1024, look.kb.get("MemTotal", 0) // 1024
    stall = ", ".join(f"{kind} {percent:.1f} %" for kind, percent in look.stall_pct.items()) or "unknown"
    swap = f", swap {look.kb['SwapFree'] // 1024} of {look.kb['SwapTotal'] // 1024} MiB free" if look.kb.get(
        "SwapTotal") else ""  # fmt: skip
    where = f"memory cgroup {look.where}: " if look.where else "memory "
    counts = f"kills {status.get('kills', 0)}, candidates {status.get('candidates', 0)}"
    lines = (
        f"{serial}: {state}{mode}; {counts}",
        f"{where}{free} of {total} MiB available{swap}; stall {stall}",
    )
    return Text("\n".join(map(safe, lines)))


def _table(look: Look) -> Table:
    table = Table("adj", "tier", "processes", expand=False)
    rest = {adj: number for adj, number in look.by_adj.items() if adj >= 0}
    for floor, name in TIERS:
        inside = [adj for adj in rest if adj >= floor]
        number = sum(rest.pop(adj) for adj in inside)
        if number:
            table.add_row(str(floor), name, str(number))
    return table


def _told(lines: list[str]) -> list[Text]:
    return [Text(safe(line), style="red") for line in lines[-SHOWN_KILLS:]]

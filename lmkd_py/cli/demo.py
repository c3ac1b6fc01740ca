"""lmkctl demo: a virtual device, the daemon put onto it over ADB, real memory pressure, and proof of what it did."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from ..analysis.explain import explain
from ..analysis.replay import replay
from ..analysis.trace import read_trace
from ..board import scenario
from ..board.sandbox import Sandbox
from ..board.virtual_device import VirtualDevice
from ..core.config import DEFAULTS, Config
from ..host.adb.server import server_address
from ..host.collect import COLLECT, Collection
from ..host.config_push import CONFIG_PUSH, ConfigPush
from ..host.connect import Connector
from ..host.device import Device
from ..host.install import INSTALL, Installation, uninstall
from ..host.payload import payload
from ..host.scripts import script
from ..host.service import Service
from ..host.steps import run_steps
from ..host.targets import Target
from ..wire.record import Record
from . import story
from .demo_check import Claim, check
from .demo_view import View
from .output import CliError, say
from .replay import say_losses, say_result

# The first phase ends after so many kills if PSI has spoken by then, after the second number in any case.
KILLS_BY_THRASH = (4, 7)
CALM_S = 1.2  # the daemon polls for a second after an event; pressure of one phase must not be told of the other
LOOK_S = 0.05  # between two collections
DEVICE_S = 300.0


def demo(
    seconds: Annotated[float, typer.Option(min=5, max=600, help="at most so much pressure")] = 40,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="directory for the collected traces; default: a new one")
    ] = None,
) -> None:
    """Install the daemon on a virtual device over ADB and show kills under real memory pressure, in one cgroup."""
    work = Path(tempfile.mkdtemp(prefix="lmkd-demo-"))
    traces = (output or work / "traces").absolute()
    try:
        claims, path = _on_a_board(work, traces, seconds)
    except KeyboardInterrupt:
        raise CliError("interrupted; the board and everything on it is gone", 130) from None
    finally:
        # The traces are what the demo is for: they stay, at the path it names.
        for place in ("device", "key"):
            shutil.rmtree(work / place, ignore_errors=True)
        if not any(work.iterdir()):
            work.rmdir()
    say(f"trace: {path}")
    if not all(claim.holds for claim in claims):
        raise typer.Exit(1)


def _on_a_board(work: Path, traces: Path, seconds: float) -> tuple[list[Claim], Path]:
    with Sandbox(scenario.LIMIT_MIB) as board, VirtualDevice(str(work / "device"), board, name="demo") as phone:
        say(f"set-up: a virtual device on {phone.address}; its memory: {board.limit_mib} MiB, {board.place.memory}")
        scene = scenario.populate(board)
        phone.register()
        say(f"set-up: {len(scene.cast)} applications of {scenario.APP_MIB} MiB from adj {scene.cast[0].adj} to 0")
        connector = Connector(server_address(None, None), work / "key" / "adbkey", DEVICE_S)
        device = connector.device(Target(phone.address, via_server=False))
        try:
            service = _put_onto(device)
            collection = Collection(device, traces, service.layout.root)
            seen = _watch(board, scene, Feed(collection), seconds)
            with _adb("stop"):
                service.stop()
            with _adb("collect"):
                run_steps(COLLECT, collection)
            (path,) = collection.folder.glob("*/*.lmkt")
            claims = _tell(board, scene, path, seen)
            with _adb("uninstall"):
                uninstall(device, service.layout.root, purge=True)
        finally:
            device.close()
    return claims, path


def _put_onto(device: Device) -> Service:
    """Install, configure and start, as the verbs of these names do."""
    with _adb("install") as done:
        installation = run_steps(INSTALL, Installation(device, payload()))
        done.append(f"release {installation.tree.digest[:16]} in {installation.root}")
    with _adb("config push") as done:
        pushed = run_steps(CONFIG_PUSH, ConfigPush(device, Config(DEFAULTS.policy, DEFAULTS.monitor)))
        done.append(f"guards {pushed.config.monitor.domain_path}")
    service = installation.service
    with _adb("start"):
        service.start(observe=False)
    for line in device.must(script('cat "$1"', service.layout.log), "reading the log").text.splitlines():
        say(f"lmkd-py: {line}")
    return service


@contextmanager
def _adb(verb: str) -> Iterator[list[str]]:
    begin = time.monotonic()
    words: list[str] = []
    yield words
    say(f"over adb: {verb}: {'; '.join([*words, f'{time.monotonic() - begin:.1f} s'])}")


class Feed:
    """What the device's trace says more than at the last look, fetched over ADB."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._known = 0
        self.triggers: tuple[str, ...] = ()

    def take(self) -> list[Record]:
        """The records that are new."""
        self._collection.changed.clear()
        run_steps(COLLECT, self._collection)
        if not self._collection.changed:
            return []
        trace = read_trace(self._collection.changed[0])
        self.triggers = trace.headers[0].triggers
        fresh = [traced.record for traced in trace.records[self._known :]]
        self._known = len(trace.records)
        return fresh


def _watch(board: Sandbox, scene: scenario.Scene, feed: Feed, seconds: float) -> list[list[int]]:
    """Both kinds of pressure; for each the pids in the order the trace showed them struck."""
    feed.take()
    deadline = time.monotonic() + seconds
    with View(scene.cast, feed.triggers, DEFAULTS.policy, seconds) as view:

        def watch(until: float) -> bool:
            view.take(feed.take())
            time.sleep(LOOK_S)
            return time.monotonic() < min(until, deadline)

        view.begin("pressure 1: one process reads more file than fits; tasks stall")
        scenario.thrash_files(board)
        half = time.monotonic() + seconds / 2
        while watch(half) and len(view.kills) < KILLS_BY_THRASH[1 - view.psi_has_spoken()]:
            pass
        board.stop_pressure()
        calm = time.monotonic() + CALM_S
        while watch(calm):
            pass
        first = len(view.kills)
        view.begin("pressure 2: a game in the foreground grows until nothing is left")
        hog = scenario.grow_hog(board)
        while watch(deadline) and hog.is_alive() and hog.resident_kb() < hog.size_kb:
            pass
        calm = time.monotonic() + CALM_S
        while watch(calm):
            pass
        board.stop_pressure()
        view.take(feed.take())
    wakeups = ", ".join(f"{name} {count}" for name, count in sorted(view.wakeups.items()))
    say(f"wakeups: {wakeups}" if wakeups else "wakeups: none")
    struck = [record.outcome.pid for record in view.kills]
    return [struck[:first], struck[first:]]


def _tell(board: Sandbox, scene: scenario.Scene, path: Path, seen: list[list[int]]) -> list[Claim]:
    trace = read_trace(path)
    say("explained:", "bold")
    for number in range(1, len(trace.kills) + 1):
        say("  " + story.one_line(number, explain(trace, number)))
    lives = ", ".join(app.name for app in scene.cast if app.is_alive())
    say(f"survived: {lives or 'nobody'}", "bold")
    claims = check(board, scene, trace, seen)
    for claim in claims:
        text = f"yes: {claim.text}" if claim.holds else f"NO: {claim.text}: {claim.found}"
        say("  " + text, "green" if claim.holds else "red")
    say_losses(trace)
    result = replay(trace)
    say_result(result)
    return [*claims, Claim("the trace replays", result.agrees)]

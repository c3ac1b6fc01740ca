"""The demo in a memory cgroup of this machine: a virtual device with a sandbox behind it."""

from __future__ import annotations

import time
from pathlib import Path

from ..analysis.trace import read_trace
from ..board import scenario
from ..board.sandbox import Sandbox
from ..board.virtual_device import VirtualDevice
from ..core.config import DEFAULTS
from ..host.adb.keys import public_keys
from ..host.adb.server import server_address
from ..host.collect import COLLECT, Collection
from ..host.connect import Connector
from ..host.install import uninstall
from ..host.steps import run_steps
from ..host.targets import Target
from .demo_adb import TraceFollower, adb, put_onto, tell_claims, tell_kills
from .demo_check import Claim, check
from .demo_view import View
from .output import say

REMAINS = ("device", "key")
# The first phase ends after so many kills if PSI has spoken by then, after the second number in any case.
KILLS_BY_THRASH = (4, 7)
CALM_S = 1.2  # the daemon polls for a second after an event; pressure of one phase must not be told of the other
LOOK_S = 0.05  # between two collections
DEVICE_S = 300.0


def run(work: Path, traces: Path, seconds: float) -> tuple[list[Claim], Path]:
    """What was claimed in the end, and the trace; everything else is gone then."""
    key = work / "key" / "adbkey"
    keys, place = public_keys(key), str(work / "device")
    with Sandbox(scenario.LIMIT_MIB) as board, VirtualDevice(place, board, keys=keys, name="demo") as phone:
        say(f"set-up: a virtual device on {phone.address}; its memory: {board.limit_mib} MiB, {board.place.memory}")
        scene = scenario.populate(board)
        phone.register()
        say(f"set-up: {len(scene.apps)} applications of {scenario.APP_MIB} MiB from adj {scene.apps[0].adj} to 0")
        connector = Connector(server_address(None, None), key, DEVICE_S)
        device = connector.device(Target(phone.address, via_server=False))
        try:
            service = put_onto(device)
            collection = Collection(device, traces, service.layout.root)
            seen = _watch(board, scene, TraceFollower(collection), seconds)
            with adb("stop"):
                service.stop()
            with adb("collect"):
                run_steps(COLLECT, collection)
            (path,) = collection.folder.glob("*/*.lmkt")
            claims = _tell(board, scene, path, seen)
            with adb("uninstall"):
                uninstall(device, service.layout.root, purge=True)
        finally:
            device.close()
    return claims, path


def _watch(board: Sandbox, scene: scenario.Scene, follower: TraceFollower, seconds: float) -> list[list[int]]:
    """Both kinds of pressure; for each the pids in the order the trace showed them struck."""
    follower.new_records()
    deadline = time.monotonic() + seconds
    with View(scene.apps, follower.triggers, DEFAULTS.policy, seconds) as view:

        def watch(until: float) -> bool:
            view.take(follower.new_records())
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
        view.take(follower.new_records())
    wakeups = ", ".join(f"{name} {count}" for name, count in sorted(view.wakeups.items()))
    say(f"wakeups: {wakeups}" if wakeups else "wakeups: none")
    struck = [record.outcome.pid for record in view.kills]
    return [struck[:first], struck[first:]]


def _tell(board: Sandbox, scene: scenario.Scene, path: Path, seen: list[list[int]]) -> list[Claim]:
    trace = read_trace(path)
    tell_kills(trace)
    lives = ", ".join(app.name for app in scene.apps if app.is_alive())
    say(f"survived: {lives or 'nobody'}", "bold")
    return tell_claims(check(board, scene, trace, seen), trace)

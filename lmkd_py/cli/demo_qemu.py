"""The demo on an emulated ARM board: the daemon guards the whole system, with its own kernel under real pressure."""

from __future__ import annotations

import time
from pathlib import Path

from ..analysis.contents import Trace
from ..analysis.trace import read_trace
from ..board.qemu.machine import QemuBoard
from ..board.qemu.profile import PROFILES as ALL
from ..board.qemu.stage import Guest, Stage
from ..core.config import DEFAULTS, Config, with_settings
from ..core.vocabulary import FOREGROUND_APP_ADJ
from ..host.adb.keys import public_keys
from ..host.adb.server import server_address
from ..host.collect import COLLECT, Collection
from ..host.connect import Connector
from ..host.install import uninstall
from ..host.steps import run_steps
from ..host.targets import Target
from .demo_adb import TraceFollower, adb, put_onto, tell_claims, tell_kills
from .demo_check import Claim, in_order
from .demo_view import View
from .output import say

REMAINS = ("key",)
DEVICE_S = 300.0
# An emulated CPU is ten times slower: a killer that is merely slow must not be taken for one that hangs.
SLOW = with_settings(DEFAULTS.monitor, strike={"answer_ms": 500})
# AOSP's estimate of free swap, which kills early: the demo shows in which order. With zram measured, an emulated CPU
# that the host stops for a moment would leave the last kills to the kernel's own OOM killer.
EARLY = DEFAULTS.policy._replace(swap_compression_ratio=1)
# Nor a large victim that frees its memory by itself for one that freed too little: in 0.1 s it was not dead.
UNREAPED = EARLY._replace(kill_timeout_ms=1000)
WANTED_KILLS, WANTED_TIERS = 10, 3
RELIEF_S = 60.0


def run(work: Path, traces: Path, seconds: float, profile: str) -> tuple[list[Claim], Path]:
    """What was claimed in the end, and the trace; the board is gone then."""
    say(f"set-up: an emulated ARM board ({ALL[profile]}); the first time its packages are fetched")
    begin = time.monotonic()
    key = work / "key" / "adbkey"
    keys = public_keys(key)
    with QemuBoard(profile, work / "board", say=lambda line: say(f"set-up: {line}"), keys=keys) as machine:
        say(f"set-up: up on {machine.address} after {time.monotonic() - begin:.1f} s")
        connector = Connector(server_address(None, None), key, DEVICE_S)
        device = connector.device(Target(machine.address, via_server=False))
        try:
            stage = Stage(lambda command: device.must(["sh", "-c", command], command).text)
            service = put_onto(device, Config(EARLY if ALL[profile].reaps else UNREAPED, SLOW))
            apps = stage.populate()
            say(f"set-up: {len(apps)} applications of {stage.app_mib} MiB from adj {apps[0].adj} to {apps[-1].adj}")
            collection = Collection(device, traces, service.layout.root)
            claims, path = _press(stage, collection, seconds)
            with adb("stop"):
                service.stop()
            with adb("collect"):
                run_steps(COLLECT, collection)
            trace = read_trace(path)
            tell_kills(trace)
            living = stage.living(apps)
            say(f"survived: {', '.join(guest.name for guest in living) or 'nobody'}", "bold")
            claims = tell_claims([*_check(stage, apps, living, trace), *claims], trace)
            with adb("uninstall"):
                uninstall(device, service.layout.root, purge=True)
        finally:
            device.close()
            if traces.is_dir():
                (work / "board.console").replace(traces / "console.log")
    return claims, path


def _press(stage: Stage, collection: Collection, seconds: float) -> tuple[list[Claim], Path]:
    """Whole-system pressure until the one who makes it dies; what was seen of it while it ran."""
    follower = TraceFollower(collection)
    follower.new_records()
    before, highest = stage.oom_kills(), 0.0
    deadline = time.monotonic() + seconds
    hog = stage.grow_hog()
    with View((*stage.apps, hog), follower.triggers, DEFAULTS.policy, seconds) as view:
        view.begin("pressure: a game in the foreground grows until nothing is left")
        while stage.living((hog,)) and time.monotonic() < deadline:
            view.take(follower.new_records())
            highest = max(highest, stage.psi_some_pct())
        view.take(follower.new_records())
    wakeups = ", ".join(f"{name} {count}" for name, count in sorted(view.wakeups.items()))
    say(f"wakeups: {wakeups}" if wakeups else "wakeups: none")
    (path,) = collection.folder.glob("*/*.lmkt")
    deadline = time.monotonic() + RELIEF_S
    while (now := stage.psi_some_pct()) > highest / 4 and time.monotonic() < deadline:
        time.sleep(1)
    by_kernel = stage.oom_kills() - before
    return [
        Claim("the game that caused it is dead", not stage.living((hog,)), "it lives"),
        Claim(
            "tasks stalled on memory and have stopped stalling",
            now <= highest / 4 > 0,
            f"PSI {highest} %, then {now} %",
        ),
        Claim("the kernel's own OOM killer did not act", by_kernel == 0, f"oom_kill rose by {by_kernel}"),
    ], path


def _check(stage: Stage, apps: tuple[Guest, ...], living: tuple[Guest, ...], trace: Trace) -> list[Claim]:
    told = {pid for pid, _ in trace.victims}
    dead = {guest.pid for guest in apps if guest not in living}
    told_apps = told & {guest.pid for guest in apps}
    adjs = [adj for _, adj in trace.victims]
    foreground = [guest for guest in apps if guest.adj == FOREGROUND_APP_ADJ]
    return [
        Claim(
            f"at least {WANTED_KILLS} were killed, of {WANTED_TIERS} tiers or more",
            len(adjs) >= WANTED_KILLS and len({adj // 100 for adj in adjs}) >= WANTED_TIERS,
            f"adj {adjs}",
        ),
        Claim("the trace names exactly the processes that died", told_apps == dead, f"told {told}, dead {dead}"),
        Claim("no process died while a more expendable one lived", in_order(adjs), f"order of adj: {adjs}"),
        Claim("the foreground application survived", all(guest in living for guest in foreground), "it died"),
        Claim(
            "the trace counts the kernel's OOM kills, and there are none", trace.oom_kills == 0, f"{trace.oom_kills}"
        ),
        Claim(
            "the trace has every record, or says how many it lacks",
            not (trace.losses or trace.undeclared),
            f"{len(trace.losses)} losses, {trace.undeclared} records",
        ),
    ]

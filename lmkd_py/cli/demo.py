"""lmkctl demo: real processes with Android's priorities, real memory pressure, the daemon, and proof of what it did."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from ..analysis.explain import explain
from ..analysis.replay import replay
from ..analysis.trace import read_trace
from ..board import scenario
from ..board.daemon_process import DaemonProcess
from ..board.ring_watch import RingWatch
from ..board.sandbox import Sandbox
from ..core.config import DEFAULTS, Config
from . import story
from .demo_check import Claim, check
from .demo_view import View
from .output import CliError, say
from .replay import say_losses, say_result

# The first phase ends after so many kills if PSI has spoken by then, after the second number in any case.
KILLS_BY_THRASH = (4, 7)
CALM_S = 1.2  # the daemon polls for a second after an event; pressure of one phase must not be told of the other


def demo(
    seconds: Annotated[float, typer.Option(min=5, max=600, help="at most so much pressure")] = 40,
    root: Annotated[Path | None, typer.Option(help="state root of the daemon; default: a new directory")] = None,
    keep: Annotated[bool, typer.Option("--keep", help="keep the whole state root, not the trace alone")] = False,
) -> None:
    """Show kills under real memory pressure on this machine, safely inside one memory cgroup."""
    if root is not None and root.exists() and (not root.is_dir() or any(root.iterdir())):
        # It might be the state root of a real daemon, whose configuration the demo would replace.
        raise CliError(f"{root}: found it in use; wanted a new or empty directory: choose another with --root DIR")
    state = root or Path(tempfile.mkdtemp(prefix="lmkd-demo-"))
    trace_path = ""
    try:
        with Sandbox(scenario.LIMIT_MIB) as board:
            say(f"set-up: a board of {board.limit_mib} MiB, {board.place.memory}")
            scene = scenario.populate(board)
            say(f"set-up: {len(scene.cast)} applications of {scenario.APP_MIB} MiB from adj {scene.cast[0].adj} to 0")
            config = Config(DEFAULTS.policy, board.monitor_config())
            board.write_root(str(state), config)
            with DaemonProcess(board, str(state)) as daemon:
                for line in daemon.lines:
                    say(f"lmkd-py: {line}")
                seen = _watch(board, scene, daemon, seconds, config)
                trace_path = daemon.ask().trace_path
            claims = _tell(board, scene, Path(trace_path), seen)
    except KeyboardInterrupt:
        raise CliError("interrupted; the board and everything on it is gone", 130) from None
    finally:
        if not keep and root is None:
            _clean(state, bool(trace_path))
    say(f"trace: {trace_path}")
    if not all(claim.holds for claim in claims):
        raise typer.Exit(1)


def _watch(
    board: Sandbox, scene: scenario.Scene, daemon: DaemonProcess, seconds: float, config: Config
) -> list[list[int]]:
    """Both kinds of pressure; for each the pids in the order the ring showed them struck."""
    reply = daemon.ask()
    ring = RingWatch(reply)
    deadline = time.monotonic() + seconds
    try:
        with View(scene.cast, reply.triggers, config.policy, seconds) as view:

            def watch(until: float) -> bool:
                view.take(ring.take())
                time.sleep(0.03)
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
            view.take(ring.take())
    finally:
        ring.close()
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


def _clean(state: Path, has_trace: bool) -> None:
    # The trace is what the demo is for: it stays, at the path it names.
    if not has_trace:
        shutil.rmtree(state, ignore_errors=True)
        return
    for name in os.listdir(state):
        if name != "traces":
            (state / name).unlink(missing_ok=True)

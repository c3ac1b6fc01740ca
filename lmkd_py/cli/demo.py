"""lmkctl demo: a virtual device, the daemon put onto it over ADB, real memory pressure, and proof of what it did."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from . import demo_qemu, demo_sandbox
from .output import CliError, say

Board = Literal["sandbox", "qemu"]


def demo(
    seconds: Annotated[
        float, typer.Option(min=5, max=600, help="longest time under pressure; five times that on an emulated board")
    ] = 40,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="directory for the collected traces; default: a new one")
    ] = None,
    board: Annotated[
        Board, typer.Option(help="a memory cgroup of this machine (root), or an emulated ARM board")
    ] = "sandbox",
    profile: Annotated[str, typer.Option(help="with --board qemu: " + ", ".join(demo_qemu.PROFILES))] = "",
) -> None:
    """Show the whole thing on a virtual device, under real memory pressure.

    Installs the daemon over ADB, makes pressure, shows who dies, collects the trace, explains every kill, replays it.

    \b
    sudo lmkctl demo
    lmkctl demo --board qemu --profile small
    """
    if profile and (board != "qemu" or profile not in demo_qemu.PROFILES):
        raise CliError(f"--profile {profile}: needs --board qemu and one of {', '.join(demo_qemu.PROFILES)}")
    work = Path(tempfile.mkdtemp(prefix="lmkd-demo-"))
    traces = (output or work / "traces").absolute()
    try:
        if board == "qemu":
            claims, path = demo_qemu.run(work, traces, 5 * seconds, profile or demo_qemu.PROFILES[0])
        else:
            claims, path = demo_sandbox.run(work, traces, seconds)
    except KeyboardInterrupt:
        raise CliError("interrupted; the board has been removed", 130) from None
    finally:
        # The traces are what the demo is for: they stay, at the path it names.
        for place in (*demo_sandbox.REMAINS, *demo_qemu.REMAINS):
            shutil.rmtree(work / place, ignore_errors=True)
        if not any(work.iterdir()):
            work.rmdir()
    say(f"trace: {path}")
    if not all(claim.holds for claim in claims):
        raise typer.Exit(1)

"""lmkctl demo: a virtual device, the daemon put onto it over ADB, real memory pressure, and proof of what it did."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..board.qemu.profile import PROFILES as ALL
from .loading import ended_by_ctrl_c
from .output import CliError, say

Board = Literal["sandbox", "qemu"]
LARGEST_MIB = 512  # filling a larger one takes an emulated CPU minutes
PROFILES = tuple(name for name in ("board", "small", "old", "new") if ALL[name].ram_mib <= LARGEST_MIB)


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
    profile: Annotated[str, typer.Option(help="with --board qemu: " + ", ".join(PROFILES))] = "",
) -> None:
    """Show the whole thing on a virtual device, under real memory pressure.

    Installs the daemon over ADB, makes pressure, shows who dies, collects the trace, explains every kill, replays it.

    \b
    sudo lmkctl demo
    lmkctl demo --board qemu --profile small
    """
    if profile and (board != "qemu" or profile not in PROFILES):
        raise CliError(f"--profile {profile}: needs --board qemu and one of {', '.join(PROFILES)}")
    with ended_by_ctrl_c():
        from . import demo_qemu, demo_sandbox  # boards, keys and rich: no help needs them
    work = Path(tempfile.mkdtemp(prefix="lmkd-demo-"))
    traces = (output or work / "traces").absolute()
    try:
        if board == "qemu":
            claims, path = demo_qemu.run(work, traces, 5 * seconds, profile or PROFILES[0])
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

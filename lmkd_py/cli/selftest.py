"""lmkctl selftest: the memory guarantee shown, on this machine or on devices."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .devices_do import on_devices
from .options import given
from .service import service_of

PACKAGE_PARENT = Path(__file__).resolve().parents[2]


def selftest(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="about how long to make pressure")] = 20.0,
    as_json: Annotated[bool, typer.Option("--json", help="print the result as one JSON object")] = False,
    negative_control: Annotated[
        bool, typer.Option("--negative-control", help="use a killer that allocates; the test must fail")
    ] = False,
) -> None:
    """Test the memory guarantee under real pressure.

    Runs in a memory cgroup of its own, on this machine (as root) or on the devices chosen before the verb. Exits with 1
    if a layer that the machine supports does not hold. docs/layers.md explains the layers.

    \b
    sudo lmkctl selftest
    lmkctl -s SERIAL selftest --seconds 60
    """
    options = given(context)
    options.json = options.json or as_json
    words = ["--negative-control"] if negative_control else []
    choice = options.choice
    chosen = choice.serial or choice.usb or choice.tcp or choice.everything or choice.targets or choice.label
    if not chosen and not os.environ.get("ANDROID_SERIAL"):
        raise typer.Exit(_here(seconds, words, options.json))
    on_devices(
        context,
        "selftest",
        lambda device: service_of(context, device).selftest(seconds, *words),
        lambda found: found["words"],
        lambda found: {"selftest": found},
        lambda found: 0 if found["holds"] else 1,
    )


def _here(seconds: float, words: list[str], as_json: bool) -> int:
    """This machine; the daemon's own exit code."""
    command = [sys.executable, "-m", "lmkd_py.daemon", "selftest", "--json", "--seconds", f"{seconds:g}", *words]
    done = subprocess.run(command, cwd=PACKAGE_PARENT, stdout=subprocess.PIPE, text=True, check=False)
    if done.stdout:
        found: dict[str, Any] = json.loads(done.stdout)
        print(json.dumps(found) if as_json else "\n".join(found["words"]))
    return done.returncode

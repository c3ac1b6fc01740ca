"""lmkctl collect: fetch what is new in the traces of devices."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from ..host import collect as host
from ..host.device import Device
from ..host.errors import DeviceError, Fault
from ..host.steps import run_steps
from .devices_do import on_devices
from .options import given
from .output import safe

PAUSE_S = 2.0


def collect(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--output", "-o", help="directory of all collected traces")] = Path("traces"),
    follow: Annotated[bool, typer.Option("--follow", "-f", help="until Ctrl-C, also across disconnects")] = False,
    device_class: Annotated[str, typer.Option("--class", help="file the traces under this device class")] = "",
    seconds: Annotated[float, typer.Option("-t", min=0, help="with --follow: seconds until it stops; 0: never")] = 0,
) -> None:
    """Fetch new traces from devices.

    Files them as OUTPUT/CLASS/SERIAL/BOOT/NNNN.lmkt. Fetches nothing twice, loses no frame, and verifies each byte.

    \b
    lmkctl --all collect -o traces
    lmkctl -s SERIAL collect -f
    """
    root = given(context).root
    until = time.monotonic() + seconds if seconds else float("inf")

    def work(device: Device) -> host.Collection:
        state = host.Collection(device, out, root, device_class)
        if not follow:
            return run_steps(host.COLLECT, state)
        device.deadline = float("inf")
        tell = _Teller(context, device.serial)
        while True:
            try:
                run_steps(host.COLLECT, state)
                tell.came(state)
            except DeviceError as error:
                if error.fault not in (Fault.TRANSPORT, Fault.OFFLINE, Fault.TIMEOUT) or not state.folder.parts:
                    raise
                tell.lost(error)
            if time.monotonic() >= until:
                return state
            device.pause(min(PAUSE_S, until - time.monotonic()))

    on_devices(context, "collect", work, _lines, _facts)


class _Teller:
    """Progress of --follow on stderr, so that a quiet device and a lost one can be told apart."""

    def __init__(self, context: typer.Context, serial: str) -> None:
        options = given(context)
        self._silent = options.quiet or options.json
        self._serial = serial
        self._frames = 0
        self._is_lost = False

    def came(self, state: host.Collection) -> None:
        """The device answered, with new frames or without."""
        new, self._frames = state.frames - self._frames, state.frames
        if new:
            self._say(f"{new} new frames in {state.folder}")
        elif self._is_lost:
            self._say("connected again")
        self._is_lost = False

    def lost(self, error: DeviceError) -> None:
        """The device did not answer. Said once, until it is connected again."""
        if not self._is_lost:
            self._say(f"{error.text}; continues when it is connected again")
        self._is_lost = True

    def _say(self, text: str) -> None:
        if not self._silent:
            print(f"lmkctl: {safe(self._serial)}: {safe(text)}", file=sys.stderr, flush=True)


def _lines(state: host.Collection) -> list[str]:
    words = f"{state.frames} new frames, {state.fetched} bytes in {state.folder}"
    lines = [words if state.fetched else f"nothing new; {state.folder}"]
    if state.damaged:
        lines.append(f"{state.damaged} bytes are damaged; they are damaged on the device too")
    return lines + state.complaints


def _facts(state: host.Collection) -> dict[str, Any]:
    return {
        "class": state.device_class or state.facts.device_class, "folder": str(state.folder), "bytes": state.fetched,
        "frames": state.frames, "damaged": state.damaged, "files": [str(path) for path in state.changed],
        "complaints": state.complaints,
    }  # fmt: skip

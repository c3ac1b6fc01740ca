"""lmkctl collect: fetch what is new in the traces of devices."""

from __future__ import annotations

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

PAUSE_S = 2.0


def collect(
    context: typer.Context,
    out: Annotated[Path, typer.Option("--output", "-o", help="directory that holds all collected traces")] = Path(
        "traces"
    ),
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C, also over disconnects")] = False,
    device_class: Annotated[str, typer.Option("--class", help="file them under this class of devices")] = "",
    seconds: Annotated[float, typer.Option("-t", min=0, help="with --follow: only for so long; 0: for ever")] = 0,
) -> None:
    """Fetch the devices' new trace frames into OUTPUT/CLASS/SERIAL/BOOT/NNNN.lmkt; nothing is fetched twice."""
    root = given(context).root
    until = time.monotonic() + seconds if seconds else float("inf")

    def work(device: Device) -> host.Collection:
        state = host.Collection(device, out, root, device_class)
        if not follow:
            return run_steps(host.COLLECT, state)
        device.deadline = float("inf")
        while True:
            try:
                run_steps(host.COLLECT, state)
            except DeviceError as error:
                if error.fault not in (Fault.TRANSPORT, Fault.OFFLINE, Fault.TIMEOUT) or not state.folder.parts:
                    raise
            if time.monotonic() >= until:
                return state
            device.pause(min(PAUSE_S, until - time.monotonic()))

    on_devices(context, "collect", work, _lines, _facts)


def _lines(state: host.Collection) -> list[str]:
    words = f"{state.frames} frames, {state.fetched} bytes new in {state.folder}"
    lines = [words if state.fetched else f"nothing new; {state.folder}"]
    if state.damaged:
        lines.append(f"{state.damaged} bytes of it are damaged on the device, too")
    return lines + state.complaints


def _facts(state: host.Collection) -> dict[str, Any]:
    return {
        "class": state.device_class or state.facts.device_class, "folder": str(state.folder), "bytes": state.fetched,
        "frames": state.frames, "damaged": state.damaged, "files": [str(path) for path in state.changed],
        "complaints": state.complaints,
    }  # fmt: skip

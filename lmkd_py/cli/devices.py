"""lmkctl devices and lmkctl doctor: what is there, and what it has and lacks."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Annotated

import typer

from ..host import doctor as host
from ..host.device import Device
from ..host.facts import Facts, facts_of
from .devices_do import on_devices
from .options import given
from .output import safe, say


def devices(
    context: typer.Context,
    long: Annotated[bool, typer.Option("-l", help="connect, and show model and kernel of each")] = False,
) -> None:
    """List devices and their states."""
    options = given(context)
    choice = options.choice
    if not (choice.serial or choice.usb or choice.tcp or choice.targets or choice.label):
        options.choice = replace(choice, everything=True)
    if long or options.json:
        on_devices(context, "devices", _look, _lines, lambda facts: {"class": facts.device_class, "facts": facts.said})
        return
    for target in options.targets():
        say(f"{target.serial}\t{target.state}{'' if target.via_server else ' (direct)'}")


def _look(device: Device) -> Facts:
    return facts_of(device)


def _lines(facts: Facts) -> list[str]:
    state = "booting" if facts.is_booting else "device"
    model = facts.said.get("ro.product.model") or facts.said.get("host", "")
    return [f"{state}  {facts.device_class}  {model}  Linux {facts.said.get('kernel', 'unknown')}"]


Python = Annotated[str, typer.Option("--python", help="path of a Python 3.9 or newer on the device")]


def doctor(context: typer.Context, python: Python = "") -> None:
    """Check a device for everything the daemon needs.

    Prints good, note or bad for each requirement, with what to do. Exits with 1 if one is bad. Changes nothing.
    """
    on_devices(
        context,
        "doctor",
        lambda device: host.examine(device, given(context).root, python),
        _findings,
        lambda findings: {"findings": [asdict(finding) for finding in findings]},
        lambda findings: int(any(finding.state == host.BAD for finding in findings)),
    )


def _findings(findings: list[host.Finding]) -> list[str]:
    return [
        f"{one.state:<5} {one.name:<11} {safe(one.found)}{f'; {one.advice}' if one.advice else ''}" for one in findings
    ]

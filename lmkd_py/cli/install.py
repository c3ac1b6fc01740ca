"""lmkctl install and uninstall."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ..host import install as host
from ..host.device import Device
from ..host.payload import payload
from ..host.steps import run_steps
from .devices import Python
from .devices_do import on_devices
from .options import given


def install(context: typer.Context, python: Python = "") -> None:
    """Install the daemon on devices.

    A running daemon is replaced without a gap: its killer stays on guard until the new one is armed. The command can be
    interrupted at any point and run again.

    \b
    lmkctl -s SERIAL install
    lmkctl --all install --python /data/data/com.termux/files/usr/bin/python3
    """
    tree = payload()
    root = given(context).root

    def work(device: Device) -> host.Installation:
        return run_steps(host.INSTALL, host.Installation(device, tree, root, python))

    on_devices(context, "install", work, _lines, _facts)


def _lines(done: host.Installation) -> list[str]:
    what = "installed" if done.changed else "already installed"
    state = "running" if done.answer.get("running") else "not running: lmkctl start"
    return [f"release {done.tree.digest[:16]} {what} in {done.root}; {state}", *done.notes]


def _facts(done: host.Installation) -> dict[str, Any]:
    return {
        "class": done.facts.device_class, "release": done.tree.digest[:16], "changed": done.changed,
        "root": done.root, "python": done.python, "running": bool(done.answer.get("running")), "notes": done.notes,
    }  # fmt: skip


def uninstall(
    context: typer.Context,
    purge: Annotated[bool, typer.Option("--purge", help="also remove the configuration and all traces")] = False,
) -> None:
    """Stop the daemon and remove it from devices."""
    root = given(context).root
    on_devices(
        context,
        "uninstall",
        lambda device: host.uninstall(device, root, purge),
        lambda there: ["removed" if there else "nothing was installed"],
        lambda there: {"removed": there},
    )

"""lmkctl's options before the verb: which devices, how they are reached, how results are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..host.fleet import JOBS
from ..host.targets import Choice, Target
from .output import CliError

if TYPE_CHECKING:
    from ..host.connect import Connector

Backend = Literal["auto", "direct", "server"]


@dataclass(slots=True)
class Options:
    """The options before the verb, parsed. What reaches devices is loaded once some are wanted: no help needs it."""

    choice: Choice = field(default_factory=Choice)
    host: str | None = None
    port: int | None = None
    key: Path | None = None
    jobs: int = JOBS
    timeout_s: float = 600.0
    retries: int = 3
    json: bool = False
    quiet: bool = False
    root: str = ""

    def targets(self) -> list[Target]:
        """The devices that are meant. CliError(4) when that is not clear."""
        from . import reach

        return reach.targets(self.choice, self.host, self.port)

    def connector(self, targets: list[Target]) -> Connector:
        """How they are reached; the key is read (or made) once, now."""
        from . import reach

        return reach.connector(targets, self.host, self.port, self.key, self.timeout_s, self.retries)


_CHOOSE, _CONNECT, _PRINT = "Choose devices", "Connection", "Output"


def options(
    context: typer.Context,
    serial: Annotated[str, typer.Option(
        "--serial", "-s", rich_help_panel=_CHOOSE,
        help="this serial or HOST:PORT; default $ANDROID_SERIAL, else the only device")] = "",
    usb: Annotated[bool, typer.Option("-d", rich_help_panel=_CHOOSE, help="the only device on USB")] = False,
    tcp: Annotated[bool, typer.Option("-e", rich_help_panel=_CHOOSE, help="the only device on TCP")] = False,
    everything: Annotated[bool, typer.Option("--all", rich_help_panel=_CHOOSE, help="every device")] = False,
    targets: Annotated[Path | None, typer.Option(
        rich_help_panel=_CHOOSE, help="the devices in this file; a line is SERIAL [LABEL...]")] = None,
    label: Annotated[str, typer.Option(
        rich_help_panel=_CHOOSE, help="only devices with this label in the targets file")] = "",
    backend: Annotated[Backend, typer.Option(
        rich_help_panel=_CONNECT, help="connect directly or through the adb server")] = "auto",
    port: Annotated[int | None, typer.Option("-P", rich_help_panel=_CONNECT, help="port of the adb server")] = None,
    host: Annotated[str | None, typer.Option("-H", rich_help_panel=_CONNECT, help="host of the adb server")] = None,
    key: Annotated[Path | None, typer.Option(
        rich_help_panel=_CONNECT, help="RSA key for ADB; default ~/.android/adbkey, created if missing")] = None,
    jobs: Annotated[int, typer.Option(
        "--jobs", "-j", min=1, max=512, rich_help_panel=_CONNECT, help="how many devices at a time")] = JOBS,
    timeout: Annotated[float, typer.Option(
        min=1, rich_help_panel=_CONNECT, help="seconds allowed for each device")] = 600.0,
    retries: Annotated[int, typer.Option(
        min=0, max=20, rich_help_panel=_CONNECT, help="attempts after a broken connection")] = 3,
    device_root: Annotated[str, typer.Option(
        rich_help_panel=_CONNECT, help="state root on the device; default /data/adb/lmkd_py or /var/lib/lmkd_py")] = "",
    as_json: Annotated[bool, typer.Option(
        "--json", rich_help_panel=_PRINT, help="one JSON object per device, then a summary")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", rich_help_panel=_PRINT, help="no progress messages")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", rich_help_panel=_PRINT, help="no colours")] = False,
) -> None:  # fmt: skip
    """Parse the options before the verb; CliError where two of them contradict each other."""
    if sum((bool(serial), usb, tcp, everything, targets is not None or bool(label))) > 1:
        raise CliError("-s, -d, -e, --all and --targets exclude each other; use one")
    if no_color:
        from .terminal import console

        console.no_color = True
    choice = Choice(serial, usb, tcp, everything, targets, label, backend)
    context.obj = Options(choice, host, port, key, jobs, timeout, retries, as_json, quiet, device_root)


def given(context: typer.Context) -> Options:
    """The options of the running command."""
    found = context.find_object(Options)
    return found if found is not None else Options()

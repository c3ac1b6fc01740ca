"""lmkctl's options before the verb: which devices, how they are reached, how results are told."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import typer

from ..board.registry import Registry
from ..host.adb.keys import KeyFileError
from ..host.adb.link import LinkError
from ..host.adb.server import list_devices, server_address
from ..host.adb.transport import ProtocolError
from ..host.connect import Connector
from ..host.fleet import JOBS
from ..host.targets import Choice, ChoiceError, Target, choose
from .output import CliError, console, safe

Backend = Literal["auto", "direct", "server"]


@dataclass(slots=True)
class Options:
    """What stood before the verb."""

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
    # Addresses of the virtual boards that are up here.
    boards: Callable[[], list[str]] = field(default=lambda: [board.address for board in Registry().boards()])

    def targets(self) -> list[Target]:
        """The devices that are meant. CliError(4) when that is not clear."""
        try:
            server = server_address(self.host, self.port)
            listed = None if self.choice.backend == "direct" else list_devices(server)
            return choose(self.choice, listed, self.boards())
        except ChoiceError as error:
            raise CliError(str(error), error.code) from error
        except ValueError as error:
            raise CliError(str(error)) from error
        except (LinkError, ProtocolError) as error:
            raise CliError(f"the adb server: {error}", 1) from error

    def connector(self, targets: list[Target]) -> Connector:
        """How they are reached; the key is read (or made) once, now."""
        made = Connector(server_address(self.host, self.port), self.key, self.timeout_s, self.retries, asked=_accept)
        if any(not target.via_server for target in targets):
            try:
                made.prepare()
            except KeyFileError as error:
                raise CliError(str(error)) from error
        return made


def _accept(serial: str) -> None:
    print(f"lmkctl: {safe(serial)}: waits for somebody to accept this host's key on its screen", file=sys.stderr)


def options(
    context: typer.Context,
    serial: Annotated[str, typer.Option("--serial", "-s", help="this device; default $ANDROID_SERIAL or the only one")]
    = "",
    usb: Annotated[bool, typer.Option("-d", help="the only USB device")] = False,
    tcp: Annotated[bool, typer.Option("-e", help="the only device on TCP")] = False,
    everything: Annotated[bool, typer.Option("--all", help="every device there is")] = False,
    targets: Annotated[Path | None, typer.Option(help="file of devices, SERIAL [LABEL...] a line")] = None,
    label: Annotated[str, typer.Option(help="only devices with this label in the targets file")] = "",
    backend: Annotated[Backend, typer.Option(help="straight to the device, or through the adb server")] = "auto",
    port: Annotated[int | None, typer.Option("-P", help="port of the adb server")] = None,
    host: Annotated[str | None, typer.Option("-H", help="host of the adb server")] = None,
    key: Annotated[Path | None, typer.Option(help="RSA key; default ~/.android/adbkey, made if missing")] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=512, help="devices at a time")] = JOBS,
    timeout: Annotated[float, typer.Option(min=1, help="seconds for all that is done with one device")] = 600.0,
    retries: Annotated[int, typer.Option(min=0, max=20, help="after a broken connection")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="one object a device, then a summary")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="no progress")] = False,
    no_color: Annotated[bool, typer.Option("--no-color", help="as NO_COLOR=1")] = False,
    device_root: Annotated[str, typer.Option(help="state root on the device")] = "",
) -> None:  # fmt: skip
    """Explains, replays and shows kills of lmkd-py; installs it on devices, configures it and collects its traces."""
    if sum((bool(serial), usb, tcp, everything, targets is not None or bool(label))) > 1:
        raise CliError("found more than one of -s, -d, -e, --all and --targets, wanted one")
    if no_color:
        console.no_color = True
    choice = Choice(serial, usb, tcp, everything, targets, label, backend)
    context.obj = Options(choice, host, port, key, jobs, timeout, retries, as_json, quiet, device_root)


def given(context: typer.Context) -> Options:
    """The options of this command line."""
    found = context.find_object(Options)
    return found if found is not None else Options()

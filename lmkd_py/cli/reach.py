"""From the options before the verb to devices: which ones are meant, and how each is reached."""

from __future__ import annotations

import sys
from pathlib import Path

from ..board.boards import Boards
from ..host.adb.keys import KeyFileError
from ..host.adb.link import LinkError, ProtocolError
from ..host.adb.server import list_devices, server_address
from ..host.connect import Connector
from ..host.targets import Choice, ChoiceError, Target, choose
from .output import CliError, safe


def targets(choice: Choice, host: str | None, port: int | None) -> list[Target]:
    """The devices that are meant. CliError(4) when that is not clear."""
    try:
        server = server_address(host, port)
        listed = None if choice.backend == "direct" else list_devices(server)
        return choose(choice, listed, [board.address for board in Boards().running()])
    except ChoiceError as error:
        raise CliError(str(error), error.code) from error
    except ValueError as error:
        raise CliError(str(error)) from error
    except (LinkError, ProtocolError) as error:
        raise CliError(f"the adb server: {error}", 1) from error


def connector(
    chosen: list[Target], host: str | None, port: int | None, key: Path | None, timeout_s: float, retries: int
) -> Connector:
    """How these are reached; the key is read (or made) once, now, if one of them needs it."""
    server = server_address(host, port)
    made = Connector(server, key, timeout_s, retries, asked=_accept, said=_warn)
    if any(not target.via_server for target in chosen):
        try:
            made.prepare()
        except KeyFileError as error:
            raise CliError(str(error)) from error
    return made


def _accept(serial: str) -> None:
    print(f"lmkctl: {safe(serial)}: accept this host's key on the device's screen", file=sys.stderr)


def _warn(text: str) -> None:
    print(f"lmkctl: {safe(text)}", file=sys.stderr)

"""From the options before the verb to devices: which ones are meant, and how each is reached."""

from __future__ import annotations

import sys

from ..board.boards import Boards
from ..host.adb.keys import KeyFileError
from ..host.adb.link import LinkError, ProtocolError
from ..host.adb.server import list_devices, server_address
from ..host.connect import Connector
from ..host.targets import ChoiceError, Target, choose
from .options import Options
from .output import CliError, safe


def targets(options: Options) -> list[Target]:
    """The devices that are meant. CliError(4) when that is not clear."""
    try:
        server = server_address(options.host, options.port)
        listed = None if options.choice.backend == "direct" else list_devices(server)
        return choose(options.choice, listed, [board.address for board in Boards().running()])
    except ChoiceError as error:
        raise CliError(str(error), error.code) from error
    except ValueError as error:
        raise CliError(str(error)) from error
    except (LinkError, ProtocolError) as error:
        raise CliError(f"the adb server: {error}", 1) from error


def connector(options: Options, chosen: list[Target]) -> Connector:
    """How these are reached; the key is read (or made) once, now, if one of them needs it."""
    server = server_address(options.host, options.port)
    made = Connector(server, options.key, options.timeout_s, options.retries, asked=_accept, said=_warn)
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

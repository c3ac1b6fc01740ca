"""The verbs of lmkctl, and the one place where an exception becomes a line and an exit code.

0: done, and so it is. 1: looked at, and it is not so. 2: bad usage or input.
"""

from __future__ import annotations

import sys

import typer

from ..board.errors import SandboxError
from ..core.config import ConfigError
from ..host.errors import DeviceError
from . import (
    board,
    collect,
    config,
    config_device,
    demo,
    devices,
    explain,
    install,
    options,
    replay,
    selftest,
    service,
    watch,
)
from .devices_do import CODES
from .output import CliError, safe

app = typer.Typer(
    help="Explains, replays and shows kills of lmkd-py.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("replay")(replay.replay)
app.command("explain")(explain.explain)
app.callback()(options.options)
for verb in (
    devices.devices, devices.doctor, install.install, install.uninstall, service.start, service.stop, service.restart,
    service.status, service.logs, service.shell, collect.collect, watch.watch, selftest.selftest,
):  # fmt: skip
    app.command(verb.__name__)(verb)
config_device.register(config.app)
app.add_typer(config.app, name="config")
app.add_typer(board.app, name="board")


def run(arguments: list[str] | None = None) -> int:
    """Carry out a command line (default: this program's own). Returns the exit code."""
    try:
        app(args=arguments, prog_name="lmkctl")
    except SystemExit as leave:  # how typer ends, well or with bad usage
        return leave.code if isinstance(leave.code, int) else 1 if leave.code else 0
    except CliError as error:
        return _complain(str(error), error.code)
    except DeviceError as error:
        return _complain(str(error), CODES.get(error.fault, 1))
    except ConfigError as error:
        return _complain(str(error), 2)
    except SandboxError as error:
        return _complain(str(error), 1)
    except OSError as error:
        return _complain(f"{error.filename or 'lmkctl'}: {error.strerror or error}", 1)
    return 0


def _complain(text: str, code: int) -> int:
    print(f"lmkctl: {safe(text)}", file=sys.stderr)
    return code

"""lmkctl as a whole, and the one place where an exception becomes a line and an exit code.

0: done. 1: checked, and it is not so. 2: bad usage or input.
"""

from __future__ import annotations

import os
import sys

import typer

from ..board.errors import SandboxError
from ..core.config import ConfigError
from ..host.errors import DeviceError
from . import options
from .codes import CODES, INTERRUPTED, PIPE_CODE
from .lazy import LazyVerbs
from .output import PIPE, CliError, end_streams, safe

app = typer.Typer(
    help="""Install lmkd-py, a low-memory killer, on devices, configure it, collect its traces and explain its kills.

    \b
    sudo lmkctl demo                                   # see all of it on a virtual device
    lmkctl -s SERIAL doctor                            # what a device has and lacks
    lmkctl -s SERIAL install
    lmkctl -s SERIAL start --observe                   # decide and record, signal nobody
    lmkctl -s SERIAL collect -o traces
    lmkctl explain traces/CLASS/SERIAL/BOOT --short    # all kills of one boot

    Options that choose devices go before the verb. `lmkctl VERB --help` has more.
    """,
    cls=LazyVerbs,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.callback()(options.options)


def run(arguments: list[str] | None = None) -> int:
    """Carry out a command line (default: this program's own). Returns the exit code.

    No way out of here is a traceback, unless LMKCTL_TRACEBACK is set: what nobody foresaw is told in a line.
    """
    try:
        code = _carry_out(arguments)
    except KeyboardInterrupt:
        code = INTERRUPTED
    except Exception as error:
        if os.environ.get("LMKCTL_TRACEBACK"):
            raise
        text = " ".join(str(error).split())[:300]
        code = _complain(
            f"an error of lmkctl itself: {type(error).__name__}: {text}; LMKCTL_TRACEBACK=1 shows where", 70
        )
    why = end_streams()
    if why == PIPE:
        return code or PIPE_CODE
    return _complain(why, code or 1) if why else code


def _carry_out(arguments: list[str] | None) -> int:
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
    except BrokenPipeError as error:
        end_streams()
        return PIPE_CODE if not error.filename or error.filename.startswith("standard ") else _complain(str(error), 1)
    except OSError as error:
        end_streams()  # if it was of our own output: that is told here, once
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return _complain(f"{where}{error.strerror or error}", 1)
    except MemoryError:
        return _complain("no memory left on this machine", 1)
    return 0


def _complain(text: str, code: int) -> int:
    try:
        print(f"lmkctl: {safe(text)}", file=sys.stderr)
    except OSError:
        pass  # nobody can be told
    return code

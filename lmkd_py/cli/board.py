"""lmkctl board: virtual devices on this machine, to try everything on without a phone."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from ..board.orders import order
from ..board.qemu.profile import DEFAULT_PROFILE, PROFILES
from .codes import INTERRUPTED
from .devices_do import SCHEMA
from .groups import BareGroup
from .loading import ended_by_ctrl_c
from .options import given
from .output import CliError, safe, say

if TYPE_CHECKING:
    from ..board.boards import Board, Boards

KINDS = {
    "sandbox": "a memory cgroup of 256 MiB with sixteen applications, behind an ADB endpoint; needs root",
    "qemu": "an emulated ARM board with a kernel, RAM and swap of its own",
}
Kind = Literal["sandbox", "qemu"]
Pressure = Literal["thrash", "hog"]
UP_S = 400.0
REPLY_S = 60.0  # beyond the pressure itself: applications start again, a file is written

app = typer.Typer(
    cls=BareGroup,
    help="""Start and stop virtual devices on this machine.

    \b
    A cgroup of this machine as a device (needs root):
      lmkctl board up sandbox                    # prints its HOST:PORT
      lmkctl -s HOST:PORT install
      lmkctl -s HOST:PORT start
      lmkctl board pressure                      # in another terminal: lmkctl -s HOST:PORT watch
      lmkctl board down --all

    \b
    An emulated ARM board with a kernel of its own (any user who has qemu-system-arm):
      lmkctl board up qemu                       # 256 MiB of RAM; the first time it fetches 45 MB of packages
      lmkctl board up qemu --profile phone       # lmkctl board up --help lists the profiles
      lmkctl -s HOST:PORT shell -- uname -a
      lmkctl board snapshot qemu1                # save it as it is now ...
      lmkctl board up qemu --snapshot qemu1      # ... and continue from there later
      lmkctl board list                          # with the console log of each
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def up(
    context: typer.Context,
    kind: Annotated[Kind, typer.Argument(help="; ".join(f"{name}: {what}" for name, what in KINDS.items()))],
    port: Annotated[int, typer.Option(min=0, max=65535, help="5600 or more; default: a free port")] = 0,
    name: Annotated[str, typer.Option(help="default: the kind and a number")] = "",
    profile: Annotated[
        str,
        typer.Option(
            help="with qemu: "
            + "; ".join(f"{name}: {one}" for name, one in PROFILES.items())
            + f"; default: {DEFAULT_PROFILE}"
        ),
    ] = "",
    snapshot: Annotated[str, typer.Option(help="with qemu: continue from this snapshot")] = "",
) -> None:
    """Start a virtual device in the background.

    Prints its HOST:PORT once it answers.

    It lets in your own ADB key (--key, ADB_VENDOR_KEYS, ~/.android/adbkey, made if missing) and nobody else.

    \b
    lmkctl board up sandbox --port 5700
    lmkctl board up qemu --profile small --name desk
    """
    if (profile or snapshot) and kind != "qemu":
        raise CliError(f"--{'profile' if profile else 'snapshot'} needs a qemu board, not a {kind}")
    if profile and snapshot:
        raise CliError("--profile and --snapshot exclude each other: a snapshot has its own profile")
    if profile and profile not in PROFILES:
        raise CliError(f"no profile {profile!r}; choose one of {', '.join(PROFILES)}")
    _progress(
        context, f"starting a {kind} board" + ("; the first time, its packages are fetched" if kind == "qemu" else "")
    )

    def say(line: str) -> None:
        # A warning is worth its line even to somebody who wants no progress.
        if line.startswith("warning: "):
            print(f"lmkctl: {safe(line)}", file=sys.stderr, flush=True)
        else:
            _progress(context, line)

    with ended_by_ctrl_c():
        from ..host.adb.keys import KeyFileError, public_keys  # cryptography: no help needs it
    try:
        keys = public_keys(given(context).key, say)
        board = _boards().up(kind, name, port, (profile, snapshot) if kind == "qemu" else (), UP_S, say, keys)
    except KeyFileError as error:
        raise CliError(str(error)) from error
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None  # the board sees that we are gone, and goes too
    _progress(context, f"{board.name} is up; its log: {board.log}")
    if given(context).json:
        print(json.dumps(_object(board)))
    else:
        print(board.address)


@app.command("list")
def list_boards(context: typer.Context) -> None:
    """List the virtual devices that are up, with the console log of each."""
    boards = _boards().running()
    if given(context).json:
        for board in boards:
            print(json.dumps(_object(board)))
        return
    if not boards:
        _progress(context, "no board is up; start one: lmkctl board up sandbox")
    for board in boards:
        say(f"{board.address:<18} {board.name:<16} {board.kind:<8} pid {board.pid}  log {board.log}")


@app.command()
def down(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name as in board list; default: the only board")] = "",
    everything: Annotated[bool, typer.Option("--all", help="all boards")] = False,
) -> None:
    """Stop virtual devices and everything that runs on them."""
    if name and everything:
        raise CliError("a name and --all exclude each other")
    boards = _boards()
    ended = boards.down_all() if everything else (boards.down(name or _only(boards).name),)
    for board in ended:
        if given(context).json:
            print(json.dumps(_object(board)))
        else:
            say(f"{board.name} is down")


@app.command()
def pressure(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name as in board list; default: the only sandbox")] = "",
    kind: Annotated[
        Pressure, typer.Option(help="thrash: read more file than fits; hog: the foreground grows")
    ] = "thrash",
    seconds: Annotated[float, typer.Option(min=1, max=600, help="how long")] = 10.0,
) -> None:
    """Make memory pressure on a sandbox and show which applications died.

    Applications that died earlier are started again first.

    \b
    sudo lmkctl board pressure --kind hog --seconds 20
    """
    boards = _boards()
    board = boards.find(name) if name else _only(boards, "sandbox")
    if board.kind != "sandbox":
        raise CliError(f"{board.name} is a {board.kind} board without applications; pressure needs a sandbox")
    _progress(context, f"{kind} on {board.name} for {seconds:g} s")
    try:
        died = order(boards.path(board.name, ".ctl"), ["press", kind, str(seconds)], seconds + REPLY_S)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if given(context).json:
        print(json.dumps({"schema": SCHEMA, "board": board.name, "pressure": kind, "died": died}))
    else:
        say(f"died: {', '.join(died)}" if died else "died: nobody; check that a daemon is running there: lmkctl status")


@app.command()
def snapshot(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="name as in board list; default: the only qemu board")] = "",
) -> None:
    """Save the state of an emulated board.

    \b
    lmkctl board snapshot qemu1
    lmkctl board up qemu --snapshot qemu1      # continue from there
    """
    boards = _boards()
    board = boards.find(name) if name else _only(boards, "qemu")
    if board.kind != "qemu":
        raise CliError(f"{board.name} is a {board.kind} board; only a qemu board can be saved")
    from ..board.boards import SNAPSHOT  # loaded with all of them

    place = boards.path(board.name, SNAPSHOT)
    order(boards.path(board.name, ".ctl"), ["snapshot", os.fsencode(place).hex()], REPLY_S)
    _progress(context, f"saved in {place}; lmkctl board up qemu --snapshot {board.name}")


def _boards() -> Boards:
    with ended_by_ctrl_c():
        from ..board.boards import Boards  # virtual devices and their keys: no help needs them

    return Boards()


def _only(boards: Boards, kind: str = "") -> Board:
    found = [board for board in boards.running() if not kind or board.kind == kind]
    if len(found) != 1:
        names = ", ".join(board.name for board in found) or f"no {kind or 'board'} is up"
        raise CliError(f"name a board, as {len(found)} are up: {names}" if found else names)
    return found[0]


def _object(board: Board) -> dict[str, object]:
    return {"schema": SCHEMA, **asdict(board)}


def _progress(context: typer.Context, text: str) -> None:
    options = given(context)
    if not options.quiet and not options.json:
        print(f"lmkctl: {safe(text)}", file=sys.stderr, flush=True)

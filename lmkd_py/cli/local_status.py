"""lmkctl status: ask the daemon of a state root how things stand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..board.local_daemon import ask_daemon
from ..wire.sentences import sentence, standing
from .output import say

# docs/boards.md; the daemon's own default for a board that is not Android.
DEFAULT_ROOT = Path("/var/lib/lmkd_py")


def status(root: Annotated[Path, typer.Option(help="state root of the daemon")] = DEFAULT_ROOT) -> None:
    """Ask the running daemon of this machine."""
    reply = ask_daemon(str(root))
    say(f"{'armed' if reply.armed else 'not armed'}{', observing only' if reply.observe else ''}")
    say(f"steward {reply.steward_pid}, killer {reply.killer_pid}, layers {layer_names(reply.layers)}")
    say(f"candidates {reply.candidates}, kills {reply.kills}, records {reply.records}, lost {reply.lost}")
    say(f"config {reply.config_hash[:12]}, generation {reply.config_generation}")
    for trigger in reply.triggers:
        say(f"trigger {trigger.words}")
    say(f"trace {reply.trace_path or 'none'}{f', not written now: {reply.filing}' if reply.filing else ''}")
    for line in standing(reply.layers, reply.notes) if reply.armed else map(sentence, reply.notes):
        say(line)
    if not reply.armed:
        raise typer.Exit(1)


def layer_names(mask: int) -> str:
    """The numbers of the active layers, `0 1`; `none` if there are none."""
    return " ".join(str(bit) for bit in range(8) if mask >> bit & 1) or "none"

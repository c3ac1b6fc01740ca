"""lmkctl explain: tell every kill of a trace, or one of them."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Annotated, Any

import typer

from ..analysis import explain as analysis
from . import story
from .output import CliError, say, say_lines
from .replay import TraceFile, load, say_losses


def explain(
    trace: TraceFile,
    kill: Annotated[
        int | None, typer.Option(help="only this kill; counted from 1 by time in the given file or directory")
    ] = None,
    short: Annotated[bool, typer.Option("--short", help="one line per kill")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object per kill")] = False,
) -> None:
    """Explain each kill of a trace.

    Trigger, rule and what the other rules lacked, counters, victims considered, duration of each phase, memory freed.
    docs/how-a-kill-works.md explains each line.

    \b
    lmkctl explain traces/arm64-4g/SERIAL/BOOT --short
    lmkctl explain traces/arm64-4g/SERIAL/BOOT --kill 3
    """
    found = load(trace)
    total = len(found.all_kills)
    numbers = range(1, total + 1) if kill is None else (kill,)
    if not as_json:
        say_losses(found)
        if not total:
            say(f"no kills in {len(found.records)} recorded wakeups")
    for number in numbers:
        try:
            told = analysis.explain(found, number)
        except analysis.NoSuchKill as error:
            raise CliError(f"{trace}: {error}") from error
        if as_json:
            # ASCII only: what a process calls itself cannot reach the terminal raw.
            print(json.dumps({"schema": 1, "kill": number, "of": total, **_fields(told)}, default=_fields))
        elif short:
            say(story.one_line(number, told))
        else:
            first, *rest = story.full(number, total, told)
            say(first, "bold")
            say_lines(rest)


def _fields(value: Any) -> dict[str, Any]:
    """A dataclass as JSON has it. asdict() copies all that is in it, which takes five times as long."""
    return {field.name: getattr(value, field.name) for field in fields(value)}

"""lmkctl explain: tell every kill of a trace, or one of them."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from ..analysis import explain as analysis
from . import story
from .output import CliError, say
from .replay import TraceFile, load, say_losses


def explain(
    trace: TraceFile,
    kill: Annotated[int | None, typer.Option(help="only this kill, counted from 1")] = None,
    short: Annotated[bool, typer.Option("--short", help="one line a kill")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON object a kill")] = False,
) -> None:
    """Tell of each kill: trigger, values, rule, victims considered, phases, memory freed."""
    found = load(trace)
    total = len(found.all_kills)
    numbers = range(1, total + 1) if kill is None else (kill,)
    if not as_json:
        say_losses(found)
        if not total:
            say(f"no kills in {len(found.records)} wakeups")
    for number in numbers:
        try:
            told = analysis.explain(found, number)
        except analysis.NoSuchKill as error:
            raise CliError(f"{trace}: {error}") from error
        if as_json:
            # ASCII only: what a process calls itself cannot reach the terminal raw.
            print(json.dumps({"schema": 1, "kill": number, "of": total, **asdict(told)}))
        elif short:
            say(story.one_line(number, told))
        else:
            for line in story.full(number, total, told):
                say(line, "bold" if line.startswith("kill ") else "")

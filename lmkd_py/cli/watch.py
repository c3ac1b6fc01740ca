"""lmkctl watch: one device, live."""

from __future__ import annotations

from typing import Annotated

import typer

from .loading import ended_by_ctrl_c


def watch(
    context: typer.Context,
    every: Annotated[float, typer.Option(min=0.2, max=60, help="seconds between updates")] = 1.0,
    count: Annotated[int, typer.Option("-n", min=0, help="how many updates; 0: until Ctrl-C")] = 0,
) -> None:
    """Watch one device live.

    Shows memory, PSI stall (share of the last 10 s in which tasks waited for memory), processes by oom_score_adj, and
    kills as they happen.
    """
    with ended_by_ctrl_c():
        from . import watch_view  # rich and the readers of traces: no help needs them

    watch_view.run(context, every, count)

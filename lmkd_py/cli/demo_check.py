"""What the demo claims in the end, each with a yes or no that was looked at and not assumed."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from itertools import pairwise

from ..analysis.contents import Trace
from ..board.apps import App
from ..board.sandbox import Sandbox
from ..board.scenario import Scene
from ..core.vocabulary import FOREGROUND_APP_ADJ


@dataclass(frozen=True, slots=True)
class Claim:
    """One sentence and whether it is so; `found` says what was seen instead."""

    text: str
    holds: bool
    found: str = ""


def dead(apps: tuple[App, ...]) -> list[App]:
    """The applications whose pidfd reports that they have exited."""
    return [app for app in apps if not app.is_alive()]


def in_order(adjs: list[int]) -> bool:
    """No process died while a more expendable one lived. Nobody joins during the demo, so adj may never rise."""
    return all(before >= after for before, after in pairwise(adjs))


def check(board: Sandbox, scene: Scene, trace: Trace, seen: list[list[int]]) -> list[Claim]:
    """Compare the trace with pidfds, wait statuses and the kernel's own counter, while the board still stands.

    seen: the pids that were seen struck while it ran, a list for each kind of pressure.
    """
    decided = [kill.record.outcome.pid for kill in trace.kills]
    died = dead(scene.apps)
    told, real = {pid for pid, _ in trace.victims}, {app.pid for app in died}
    statuses = {app.pid: board.wait_status(app) for app in died}
    by_signal = [pid for pid, status in statuses.items() if status is None or status & 0x7F != signal.SIGKILL]
    shown = [pid for pids in seen for pid in pids]
    adjs = [adj for _, adj in trace.victims]
    foreground = [app for app in scene.apps if app.adj == FOREGROUND_APP_ADJ]
    oom_kills = board.oom_kills()
    outside = dead(scene.bystanders)
    return [
        Claim("both kinds of pressure led to kills", all(seen), f"{[len(pids) for pids in seen]}"),
        Claim(
            "the trace names exactly the processes that died",
            told == real and len(trace.victims) == len(told),
            f"told {sorted(told)}, dead {sorted(real)}",
        ),
        Claim("each of them died of SIGKILL", not by_signal, f"not so: {by_signal}"),
        Claim(
            "watch showed the same kills over ADB",
            shown == decided,
            f"shown {seen}",
        ),
        Claim("no process died while a more expendable one lived", in_order(adjs), f"order of adj: {adjs}"),
        Claim("the foreground application survived", not dead(tuple(foreground)), "it died"),
        Claim(
            "no process outside the guarded memory died",
            not outside,
            f"{', '.join(app.name for app in outside)}; is there another killer on this machine?",
        ),
        Claim("the kernel's own OOM killer did not act", oom_kills == 0, f"oom_kill is {oom_kills}"),
        Claim(
            "the trace has every record, or says how many it lacks",
            not (trace.losses or trace.undeclared),
            f"{len(trace.losses)} losses, {trace.undeclared} records",
        ),
    ]

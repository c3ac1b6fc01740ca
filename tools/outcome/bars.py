"""What a killer of ours is held to on the profile `board`, workload by workload."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lmkd_py.board.workloads.catalog import WORKLOADS
from tools.outcome.ratio import Verdict, verdict

Run = dict[str, Any]
Runs = Mapping[str, Sequence[Run]]  # by killer


def kills(run: Run) -> float:
    """Deaths by signal, the kernel's among them."""
    return float(sum(by != "itself" for *_, by in run["deaths"]))


class Bar(NamedTuple):
    """At most `bar` times the runs that `against` picks, and `plus`."""

    name: str
    value: Callable[[Run], float]
    against: Callable[[Runs], Sequence[float]]
    bar: float = 1.0
    plus: float = 0.0

    def verdict(self, killer: str, runs: Runs) -> Verdict:
        """Of a killer; Verdict.NONE without enough runs of it, or of those it is compared with."""
        theirs = self.against({name: found for name, found in runs.items() if name != killer})
        return verdict([self.value(run) for run in runs[killer]], theirs, self.bar, self.plus)


def of_kernel(value: Callable[[Run], float]) -> Callable[[Runs], Sequence[float]]:
    """What the kernel alone reached."""
    return lambda runs: [value(run) for run in runs.get("kernel", ())]


def of_best_peer(value: Callable[[Run], float]) -> Callable[[Runs], Sequence[float]]:
    """What that peer reached whose mean is lowest, of those that kill: not the kernel, and none of ours."""

    def best(runs: Runs) -> Sequence[float]:
        peers = [
            [value(run) for run in found] for name, found in runs.items() if name not in ("kernel", *OURS) and found
        ]
        return min(peers, key=lambda found: sum(found) / len(found), default=[])

    return best


def fixed(number: float) -> Callable[[Runs], Sequence[float]]:
    """A number that no run has to show."""
    return lambda runs: [number] * 3


def some_s(run: Run) -> float:
    """Seconds in which some task waited for memory."""
    return float(run["some_s"])


def cold_starts(run: Run) -> float:
    """Applications of `switch` that had to start again."""
    return float(run["progress"]["cold_starts"])


def return_p95_s(run: Run) -> float:
    """The slow returns of `switch`."""
    return float(run["progress"]["return_s"][1])


def minimum(workload: str, plus: int) -> Bar:
    """The known minimum of kills and so many more."""
    return Bar(f"kills <= minimum + {plus}", kills, fixed(WORKLOADS[workload].minimum), plus=plus)


OURS = ("steady", "aosp_mended")
KERNEL_KILLS = Bar("kernel's kills = 0", lambda run: float(run["oom_kills"]), fixed(0.0))
AS_KERNEL = Bar("kills <= kernel's + 1", kills, of_kernel(kills), plus=1)
STALL = Bar("stall <= best peer's", some_s, of_best_peer(some_s))
BARS: dict[str, tuple[Bar, ...]] = {
    "game": (AS_KERNEL, KERNEL_KILLS, Bar("stall <= 0.8 of best peer's", some_s, of_best_peer(some_s), 0.8)),
    "leak": (minimum("leak", 0), KERNEL_KILLS, STALL),
    "switch": (
        *(AS_KERNEL, KERNEL_KILLS, STALL),
        Bar("cold starts <= kernel's", cold_starts, of_kernel(cold_starts)),
        Bar("p95 of a return <= best peer's", return_p95_s, of_best_peer(return_p95_s)),
    ),
    "thrash": (Bar("kills <= 7", kills, fixed(7)), KERNEL_KILLS),
    **{name: (minimum(name, 0), KERNEL_KILLS, STALL) for name in ("files", "background")},
    **{name: (minimum(name, 1), KERNEL_KILLS) for name in ("boot", "burst", "frozen")},
    **{name: (minimum(name, 2), KERNEL_KILLS) for name in ("incompressible", "tmpfs")},
}

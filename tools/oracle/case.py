"""One recorded scenario: its file format, its configuration, and what the daemon did, one entry an evaluation."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import PolicyKind

Json = dict[str, Any]

NO_END = (sys.maxsize, 0)
_NEEDED = {"id", "start_ms", "end_ms", "page_kb", "memevents", "cfg", "init", "procs", "steps", "evals"}
_NEEDED_EVAL = {"t", "step", "src", "out"}


class BadFile(Exception):
    """A scenario file that cannot be used: which, where, and why, in one line."""


@dataclass(frozen=True, slots=True)
class Kill:
    """One victim of one evaluation. `id` is the scenario's number for the process."""

    id: int
    adj: int
    floor: int
    reason: int
    desc: str
    rss_kb: int
    swap_kb: int
    thr: int
    max_thr: int
    free_swap_kb: int


@dataclass(slots=True)
class Evaluation:
    """One run of the decision function. wait and hold are None where the daemon did not wait right after it."""

    t: int
    step: int
    src: str
    lvl: str | None
    out: str
    kills: tuple[Kill, ...]
    scan: tuple[int, ...]
    zi: int | None
    wait: int | None = None
    hold: int | None = None


def read_cases(path: Path) -> Iterator[Json]:
    """Scenarios of a JSON-Lines file, gzip or plain; raises BadFile."""
    number = 0
    try:
        with path.open("rb") as probe:
            packed = probe.read(2) == b"\x1f\x8b"
        with gzip.open(path, "rt") if packed else path.open() as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                yield _scenario(line, f"{path}:{number}")
    except (OSError, zlib.error, EOFError, UnicodeDecodeError) as error:
        raise BadFile(f"{path}: after line {number}: {error}") from error
    if number == 0:
        raise BadFile(f"{path}: no scenarios in it")


def _scenario(line: str, place: str) -> Json:
    try:
        case = json.loads(line)
        usable = (
            case.keys() >= _NEEDED
            and case["init"].keys() >= {"mi", "vs", "zones", "psi"}
            and all("t" in step for step in case["steps"])
            and all(e.keys() >= _NEEDED_EVAL for e in case["evals"])
        )
    except json.JSONDecodeError as error:
        raise BadFile(f"{place}: {error}") from error
    except (AttributeError, TypeError):
        usable = False
    if not usable:
        raise BadFile(f"{place}: not a decision scenario")
    return dict(case)


def policy_config(cfg: Json, kind: int, direct_reclaim_ms: int) -> PolicyConfig:
    """The recorded effective configuration; the direct reclaim threshold is the caller's (the daemon may zero it)."""
    return PolicyConfig(
        kind=kind,
        kill_heaviest_task=int(cfg["kill_heaviest_task"]),
        kill_timeout_ms=cfg["kill_timeout_ms"],
        swap_free_low_pct=cfg["swap_free_low_percentage"],
        swap_util_max_pct=cfg["swap_util_max"],
        swap_compression_ratio=cfg["swap_compression_ratio"],
        thrashing_limit_pct=cfg["thrashing_limit"],
        thrashing_limit_decay_pct=cfg["thrashing_limit_decay"],
        thrashing_limit_critical_pct=cfg["thrashing_limit_critical"],
        filecache_min_kb=cfg["filecache_min_kb"],
        stall_limit_critical_pct=cfg["stall_limit_critical"],
        pressure_after_kill_min_adj=cfg["pressure_after_kill_min_score"],
        direct_reclaim_threshold_ms=direct_reclaim_ms,
        lowmem_min_adj=cfg["lowmem_min_oom_score"],
        futile_kills_max=0,  # AOSP has no such thing: its victims of a recording die and free nothing
    )


def recorded(case: Json) -> Iterator[tuple[tuple[int, int], Evaluation]]:
    """((index in `evals`, repetition), evaluation)."""
    for index, e in enumerate(case["evals"]):
        kills = tuple(Kill(**{name: kill[name] for name in Kill.__slots__}) for kill in e.get("kills", ()))
        scan = tuple(e.get("scan", ()))
        times, dt = e.get("rep", (1, 0))
        zi = e.get("zi", 0) if e["src"] != "vendor" else None
        for k in range(times):
            yield (
                (index, k),
                Evaluation(
                    e["t"] + k * dt,
                    e["step"],
                    e["src"],
                    e.get("lvl"),
                    e["out"],
                    kills,
                    scan,
                    zi,
                    e.get("wait"),
                    e.get("hold"),
                ),
            )


def comparable(case: Json, kind: int) -> tuple[int, int]:
    """(entry of `evals`, repetition) at which comparing has to stop; NO_END if all can be compared.

    AOSP's own behaviour is compared throughout, AOSP_MENDED up to the first effect of a mended defect.
    """
    if kind == PolicyKind.AOSP_EXACT:
        return NO_END
    known = [i for i in case.get("defect_at", {}).values() if i is not None]
    return min(((i, 0) if isinstance(i, int) else (i[0], i[1]) for i in known), default=NO_END)

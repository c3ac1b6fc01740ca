"""One recorded scenario: its file format, its configuration, and what the daemon did, one entry an evaluation."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmkd_py.core.config import PolicyConfig

Json = dict[str, Any]


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
                case = json.loads(line)
                if not isinstance(case, dict) or "evals" not in case or "steps" not in case:
                    raise BadFile(f"{path}:{number}: not a decision scenario")
                yield case
    except (OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise BadFile(f"{path}:{number + 1}: {error}") from error
    if number == 0:
        raise BadFile(f"{path}: no scenarios in it")


def policy_config(cfg: Json, compat: int, direct_reclaim_ms: int) -> PolicyConfig:
    """The recorded effective configuration; the direct reclaim threshold is the caller's (the daemon may zero it)."""
    return PolicyConfig(
        compat=compat,
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
    )


def recorded(case: Json) -> Iterator[tuple[int, Evaluation]]:
    """(index in `evals`, evaluation), repetitions written out."""
    for index, e in enumerate(case["evals"]):
        kills = tuple(Kill(**{name: kill[name] for name in Kill.__slots__}) for kill in e.get("kills", ()))
        scan = tuple(e.get("scan", ()))
        times, dt = e.get("rep", (1, 0))
        zi = e.get("zi", 0) if e["src"] != "vendor" else None
        for k in range(times):
            yield (
                index,
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


def comparable_entries(case: Json) -> int:
    """How many entries of `evals` a daemon with all eight defects mended must record alike."""
    known = [i for i in case.get("defect_at", {}).values() if i is not None]
    # An index [i, k] lies within a repetition: only whole entries before it are compared.
    return min([i if isinstance(i, int) else i[0] for i in known], default=len(case["evals"]))

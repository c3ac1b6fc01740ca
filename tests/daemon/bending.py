"""A domain whose samples are really read and then bent, one shortage after the other. It runs in the killer."""

from __future__ import annotations

import gc
import sys
from typing import Any

from lmkd_py.core.config import MonitorConfig
from lmkd_py.core.snapshot import Outcome, Snapshot
from lmkd_py.core.vocabulary import WakeupKind
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from tests.daemon.altered_loops import MARKS, TICKING, TURNS, words
from tests.daemon.shortages import SHAPES, read_as_usual

MARK_EVERY = 10_000


def bend(sample: Any, idiomatic: bool) -> Any:
    """The domain's sample(), bent. Runs inside the killer."""
    turn = refaults = scans = 0

    def bent(now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int) -> Snapshot:
        nonlocal turn, refaults, scans
        if kind == WakeupKind.EVENT and idiomatic:
            read_as_usual()
        base: Snapshot = sample(now_ms, kind, level, outcome, victim_alive, want_watermarks)
        changes: dict[str, Any] = dict(SHAPES[turn % len(SHAPES)])
        refault, direct = changes.pop("refault", 0), changes.pop("direct", 0)
        later_ms = changes.pop("later_ms", 0)
        if not words[TICKING]:  # a warm tick sees the next shape early
            turn += 1
            refaults += refault
            scans += direct
            words[TURNS] = turn
            if turn % MARK_EVERY == 1:
                words[MARKS + 2 * (turn // MARK_EVERY)] = sys.getallocatedblocks()
                words[MARKS + 2 * (turn // MARK_EVERY) + 1] = sum([each["collections"] for each in gc.get_stats()])
        seen = base._replace(
            **{"workingset_refault_pages": refaults, "direct_progress": scans, "refill_progress": turn, **changes}
        )
        if later_ms:
            seen = seen._replace(now_ms=seen.now_ms + later_ms)
        if gc.isenabled():  # not armed yet: the dry run sees what it would see, and this function has run
            turn = refaults = scans = 0
            return base
        return seen

    return bent


def open_bent(monitor: MonitorConfig, idiomatic: bool) -> Domain:
    """open_domain() with a bent sample."""
    domain = open_domain(monitor)
    domain.sample = bend(domain.sample, idiomatic)  # type: ignore[method-assign]
    return domain

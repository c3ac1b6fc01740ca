"""What this kernel and our rights allow, found by trying; versions are never compared."""

from __future__ import annotations

from typing import NamedTuple


class Features(NamedTuple):
    """1: works here, 0: does not."""

    pidfd: int
    process_mrelease: int
    psi: int
    psi_short_window: int  # PSI triggers with a window that is no multiple of 2 s (CAP_SYS_RESOURCE)
    vmpressure: int
    memcg_version: int  # 0: no memory controller, 1, 2
    mlockall: int
    sched_fifo: int
    oom_score_adj_min: int  # our own oom_score_adj may be set to -1000


def probe(root: str = "/") -> Features:
    """Try each feature and undo it. Allocates; for start-up and `lmkd-py check` only. Never raises."""
    raise NotImplementedError

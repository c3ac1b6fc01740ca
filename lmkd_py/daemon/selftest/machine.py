"""What this machine supports, found without the daemon: each layer's feature is tried once and undone."""

from __future__ import annotations

import os
from typing import NamedTuple

from ...core.config import MonitorConfig
from ...kernel.bpf import VARIANT_NAMES
from ...kernel.probe import Features, probe
from ...kernel.protection.memalloc import open_window
from ...kernel.protection.reserve import Reserve
from ...kernel.sensing.domain import open_domain
from ...kernel.sensing.perf import ALLOCATION_EVENTS, RECLAIM_EVENTS, EventCounter
from ...wire.sentences import sentence
from ..steward.killers.kernel_strike import load_kernel_strike

CALLS = ("mmap", "munmap", "brk", "madvise", "openat")


class Machine(NamedTuple):
    """why[N]: what keeps this machine from layer N; "" where nothing does."""

    why: tuple[str, ...]
    variant: str  # of the strike in the kernel: list, walk, current; "" without one
    strike_notes: tuple[str, ...]  # what is weaker with it than it could be
    events: tuple[str, ...]  # what can be counted
    uncounted: str  # why nothing can
    access_faults: bool  # the kernel may have to set the accessed bit of pages that are there


def look(root: str, monitor: MonitorConfig) -> Machine:
    """Try everything. `root` is a directory of ours."""
    strike, variant, notes = _strike(root, monitor)
    events, uncounted = _events()
    why = (_sample(monitor), _resident(probe()), _pool(), strike, _window())
    return Machine(why, variant, notes, events, uncounted, _access_faults())


def _access_faults() -> bool:
    # ARM before 8.1 does not set the bit itself; whether a later one does is not told to programs.
    return os.uname().machine.startswith(("aarch64", "arm"))


def _sample(monitor: MonitorConfig) -> str:
    domain = open_domain(monitor)
    files = domain.allocating()
    domain.close()
    return f"each sample reads {' and '.join(files)}, which allocates" if files else ""


def _resident(features: Features) -> str:
    wanted = (("mlockall", features.mlockall), ("SCHED_FIFO", features.sched_fifo))
    lacking = [name for name, there in wanted if not there]
    return f"refused: {' and '.join(lacking)}" if lacking else ""


def _pool() -> str:
    reserve = Reserve(MonitorConfig().guarantee.reserve_kb)
    reserve.close()
    return "" if reserve.active else sentence(reserve.note)


def _strike(root: str, monitor: MonitorConfig) -> tuple[str, str, tuple[str, ...]]:
    kernel_strike = load_kernel_strike(root, monitor, 0)
    if kernel_strike.attached is None:
        return kernel_strike.refused, "", ()
    name, notes = VARIANT_NAMES[kernel_strike.attached.variant], kernel_strike.attached.notes
    kernel_strike.stand_down()
    return "", name, notes


def _window() -> str:
    try:
        open_window().close()
    except OSError as error:
        return f"no module: {error.strerror}"
    return ""


def _events() -> tuple[tuple[str, ...], str]:
    wanted = (*ALLOCATION_EVENTS, *RECLAIM_EVENTS)
    calls = tuple(f"syscalls:sys_enter_{name}" for name in CALLS)
    for events in ((*wanted, *calls), wanted):  # many kernels have no tracepoints for system calls
        try:
            with EventCounter(events, os.getpid()):
                return events, ""
        except OSError as error:
            refused = f"{error.filename or 'perf'}: {error.strerror}"
    return (), refused

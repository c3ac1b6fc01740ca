"""Our turn among all that is not real-time: the first while nobody guards, the usual one otherwise."""

from __future__ import annotations

import os

FOREMOST = -20
USUAL = os.getpriority(os.PRIO_PROCESS, 0)  # as we were started; a killer is forked and not executed, so it knows, too


def hurry() -> None:
    """Nobody guards until we are done: before all others. Whoever is forked meanwhile inherits it."""
    _take(FOREMOST)


def take_turns() -> None:
    """Back to the nice value that the daemon was started with."""
    _take(USUAL)


def _take(nice: int) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, nice)
    except OSError:
        pass  # without CAP_SYS_NICE (who observes only) in turn with all others

"""The foreground goes over its memory again and again beside idle applications; all of it fits into RAM and swap."""

from __future__ import annotations

from ..qemu.guest.cast import MIXED, beat, hold
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload, rounds

APP_MIB, FRONT_MIB = 7, 120
PAUSE_S, SECONDS = 0.05, 30.0


def perform(trial: Trial) -> Progress:
    """See the top. It is back to full speed when no round is slow any more."""
    trial.crowd(hold(trial.mib(APP_MIB), MIXED), without=("foreground-0",))
    front = trial.start("foreground-0", 0, beat(trial.mib(FRONT_MIB), MIXED, PAUSE_S))
    begin_s = trial.now_s
    trial.rest(SECONDS)
    found = rounds([(when - begin_s, us) for when, us in front.told[1:]])
    calm = not front.death_s and trial.now_s - trial.last_stall_s > 3.0
    done_s = begin_s + found["fast_since_s"] if found["fast_since_s"] >= 0 and not front.death_s else 0.0
    return Progress(calm, done_s, {"begin_s": round(begin_s, 2), **found})


# Swapped out, 15 sleepers take 15 x (1.5 + 7 / 3.1) = 56 of 164 MiB: 12 of the 120 have no place; a death gives 3.8.
THRASH = Workload("thrash", perform, minimum=4)

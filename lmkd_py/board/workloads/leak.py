"""One cached application grows for ever while the foreground works with a little memory."""

from __future__ import annotations

from ..qemu.guest.cast import MIXED, beat, grow
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload, rounds

APP_MIB, FRONT_MIB = 7, 24
LEAKER, MIB_PER_S = "cached-908", 16
FOR_EVER_MIB = 1 << 20


def perform(trial: Trial) -> Progress:
    """Until the leaker is dead and the stalls are over."""
    trial.idle(APP_MIB, without=(LEAKER, "foreground-0"))
    front = trial.start("foreground-0", 0, beat(trial.mib(FRONT_MIB), MIXED, 0.1))
    leaker = trial.start(LEAKER, dict(trial.apps)[LEAKER], grow(FOR_EVER_MIB, MIXED, trial.mib(MIB_PER_S)))
    calm = trial.run(lambda: leaker.death_s)
    innocent = [actor.name for actor in trial.actors if actor.death_s and actor is not leaker]
    told = {"innocent": innocent, "leaked_mib": leaker.most, **rounds(front.told[1:])}
    return Progress(calm, 0.0 if front.death_s else leaker.death_s, told)


LEAK = Workload("leak", perform, minimum=1, culprits=(LEAKER,))

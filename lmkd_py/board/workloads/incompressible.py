"""Pages of noise, which zram cannot pack: it is full soon, or takes as much as it gives."""

from __future__ import annotations

from ..qemu.guest.cast import NOISE, grow, hold
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload

APP_MIB, FRONT_MIB, MIB_PER_S = 7, 64, 12


def perform(trial: Trial) -> Progress:
    """Until the one in front has its memory or is dead, and then calm."""
    trial.crowd(hold(trial.mib(APP_MIB), NOISE))
    size = trial.mib(FRONT_MIB)
    front = trial.start("game-0", 0, grow(size, NOISE, trial.mib(MIB_PER_S), size // 3, 1))
    calm = trial.run(lambda: front.death_s or front.done_s)
    return Progress(calm, front.done_s, {"wanted_mib": size, "served_mib": front.most})


# What zram takes for them it takes from RAM: 152 MiB of room; 16 x 8.5 + 65.5 are 201.5: 50 MiB are lacking.
INCOMPRESSIBLE = Workload("incompressible", perform, minimum=6)

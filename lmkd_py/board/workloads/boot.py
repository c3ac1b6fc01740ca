"""Thirty processes start at once, each with its memory and some work to do; all of them fit."""

from __future__ import annotations

from ..qemu.guest.cast import PLAIN, hold
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload, at

COUNT, APP_MIB, START_CPU_S = 30, 7, 0.2
TIERS = (0, 100, 200, 500, 600, 700, 800, *range(900, 946, 2))


def perform(trial: Trial) -> Progress:
    """Until all are up or dead, and then calm. Their order is drawn by the seed."""
    tiers = list(TIERS)
    trial.chance.shuffle(tiers)
    role = hold(trial.mib(APP_MIB), PLAIN, START_CPU_S)
    started = [trial.start(f"boot-{adj}", adj, role, wait=False) for adj in tiers]
    calm = trial.run(lambda: all(actor.told or actor.death_s for actor in started))
    up = [actor.told[0][0] for actor in started if actor.told]
    told = {"up": len(up), "up_s": [round(at(up, share), 2) for share in (0.5, 0.95, 1.0)]}
    return Progress(calm, max(up) if len(up) == COUNT else 0.0, told)


# 30 x 8.5 are 255 of 322 MiB.
BOOT = Workload("boot", perform, minimum=0)

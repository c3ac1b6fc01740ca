"""The game, while the cached applications lie in a frozen cgroup: they cannot act on a signal that asks them to end."""

from __future__ import annotations

import os

from ..qemu.guest.cast import hold
from ..qemu.guest.trial import Trial
from .game import APP_MIB, play
from .workload import Progress, Workload

CACHED_ADJ = 900
FREEZER = "/sys/fs/cgroup/frozen"


def freeze(on: bool) -> None:
    """Freeze or thaw all that are in the cgroup."""
    with open(f"{FREEZER}/cgroup.freeze", "w") as file:
        file.write(str(int(on)))


def perform(trial: Trial) -> Progress:
    """See the top and game.py."""
    os.makedirs(FREEZER, exist_ok=True)
    freeze(False)
    role = hold(trial.mib(APP_MIB))
    for name, adj in trial.apps:
        trial.start(name, adj, role, cgroup=FREEZER if adj >= CACHED_ADJ else "")
    freeze(True)
    return play(trial)


FROZEN = Workload("frozen", perform, minimum=5)  # as the game

"""Sixteen applications sleep, and a game in the foreground takes all that is left and works with a third of it."""

from __future__ import annotations

from ..qemu.guest.cast import PLAIN, grow
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload

APP_MIB, GAME_MIB = 7, 224
MIB_PER_S = 24
USED_SHARE, USED_TIMES = 3, 3  # all of it may be more than RAM


def play(trial: Trial) -> Progress:
    """The game grows beside whoever lives, until it has all and has used it, or is dead."""
    size = trial.mib(GAME_MIB)
    role = grow(size, PLAIN, trial.mib(MIB_PER_S), size // USED_SHARE, USED_TIMES)
    game = trial.start("game-0", 0, role, wait=False)
    calm = trial.run(lambda: game.death_s or game.done_s)
    return Progress(calm, game.done_s, {"wanted_mib": size, "served_mib": game.most})


def perform(trial: Trial) -> Progress:
    """See the top."""
    trial.idle(APP_MIB)
    return play(trial)


# 322 MiB of room (zram packs these pages 8.7:1); 16 x 8.5 + 225.5 are 361.5: 40 MiB are lacking.
GAME = Workload("game", perform, minimum=5)

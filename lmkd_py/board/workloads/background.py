"""Music plays and a download goes on while a page with many tabs grows in front; all of it fits."""

from __future__ import annotations

import os
import time

from ..qemu.guest.cast import MIXED, Part, beat, grow
from ..qemu.guest.crowd import MIB
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload, at

APP_MIB, TABS_MIB, MUSIC_MIB = 7, 100, 4
MIB_PER_S, MUSIC_PAUSE_S = 12, 0.02
LATE_US = 50_000  # the music has a gap
LOADED, LOADED_MIB, LOADED_PAUSE_S = "/data/loaded", 40, 0.25


def download(part: Part) -> None:
    """Writes a MiB and again; tells how many there are."""
    fd = os.open(LOADED, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    count = 0
    while True:
        part.tell(count)
        os.pwrite(fd, os.urandom(MIB), count % LOADED_MIB * MIB)
        count += 1
        time.sleep(LOADED_PAUSE_S)


def perform(trial: Trial) -> Progress:
    """Until all tabs are there, and then calm."""
    trial.idle(APP_MIB, without=("perceptible-200", "service-500", "foreground-0"))
    music = trial.start("perceptible-200", 200, beat(trial.mib(MUSIC_MIB), MIXED, MUSIC_PAUSE_S))
    loader = trial.start("service-500", 500, download)
    size = trial.mib(TABS_MIB)
    page = trial.start("foreground-0", 0, grow(size, MIXED, trial.mib(MIB_PER_S), size // 3, 1))
    calm = trial.run(lambda: page.death_s or page.done_s)
    beats = [us for _, us in music.told[1:]]
    told = {
        "served_mib": page.most,
        "beats": len(beats),
        "late": sum(us > LATE_US for us in beats),
        "beat_ms": [round(at(beats, share) / 1000, 1) for share in (0.5, 0.95, 1.0)],
        "loaded_mib": loader.most,
    }
    return Progress(calm, page.done_s, told)


# 13 x 8.5 + 5.5 + 2.5 + 101.5 are 220 MiB; room is 282, as zram packs these pages 3.1:1.
BACKGROUND = Workload("background", perform, minimum=0)

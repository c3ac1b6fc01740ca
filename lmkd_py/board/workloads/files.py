"""Small applications, and a reader in front: part of a file at random, and all of it once and again."""

from __future__ import annotations

import os
import random
import time

from ..qemu.guest.cast import Part, Role
from ..qemu.guest.crowd import MIB
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload, rounds

APP_MIB, HOT_MIB, FILE_MIB = 3, 40, 180
PIECE, PIECES, PAUSE_S, SECONDS = 64 << 10, 16, 0.025, 20.0
BLOB = "/data/blob"


def write_blob(mib: int) -> None:
    """The file, on the disk and not in memory."""
    if not os.path.exists(BLOB) or os.path.getsize(BLOB) != mib * MIB:
        with open(BLOB, "wb") as file:
            for _ in range(mib):
                file.write(bytes(MIB))
            os.fsync(file.fileno())
    with open("/proc/sys/vm/drop_caches", "w") as file:
        file.write("3")


def reader(hot_mib: int, all_mib: int, seed: int) -> Role:
    """Reads 1 MiB of the hot part and 1 MiB of the pass over all a round; tells how long each took."""

    def role(part: Part) -> None:
        fd = os.open(BLOB, os.O_RDONLY)
        room, chance, at = bytearray(PIECE), random.Random(seed), 0
        part.tell(0)
        while True:
            begin = time.monotonic_ns()
            for _ in range(PIECES):
                os.preadv(fd, [room], chance.randrange(hot_mib * MIB // PIECE) * PIECE)
                os.preadv(fd, [room], at % (all_mib * MIB))
                at += PIECE
            part.tell((time.monotonic_ns() - begin) // 1000)
            time.sleep(PAUSE_S)

    return role


def perform(trial: Trial) -> Progress:
    """See the top."""
    size = min(trial.mib(FILE_MIB), FILE_MIB)  # the disk of a board is not larger where its memory is
    write_blob(size)
    trial.idle(APP_MIB, without=("foreground-0",))
    role = reader(min(trial.mib(HOT_MIB), size), size, trial.chance.randrange(1 << 30))
    front = trial.start("foreground-0", 0, role)
    trial.rest(SECONDS)
    calm = not front.death_s
    return Progress(calm, trial.now_s if calm else 0.0, rounds(front.told[1:]))


FILES = Workload("files", perform, minimum=0)

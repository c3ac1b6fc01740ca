"""Somebody in front fills a tmpfs: memory that no kill gives back."""

from __future__ import annotations

import os
import subprocess
import time

from ..qemu.guest.cast import Part, Role
from ..qemu.guest.crowd import MIB
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload

APP_MIB, FILE_MIB, MIB_PER_S = 7, 200, 24
PLACE = "/run/filled"


def writer(mib: int, mib_per_s: int) -> Role:
    """Writes so much at a pace, tells how much there is, then 0."""
    page = bytes(4088)

    def role(part: Part) -> None:
        fd = os.open(f"{PLACE}/file", os.O_WRONLY | os.O_CREAT)
        for count in range(1, mib + 1):
            os.write(fd, b"".join(os.urandom(8) + page for _ in range(MIB // 4096)))
            part.tell(count)
            time.sleep(1 / mib_per_s)
        part.tell(0)

    return role


def perform(trial: Trial) -> Progress:
    """Until it is written or its writer dead, and then calm."""
    os.makedirs(PLACE, exist_ok=True)
    size = trial.mib(FILE_MIB)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size + 1}m", "filled", PLACE], check=True)
    trial.idle(APP_MIB)
    front = trial.start("writer-0", 0, writer(size, trial.mib(MIB_PER_S)))
    calm = trial.run(lambda: front.death_s or front.done_s)
    told = {"wanted_mib": size, "written_mib": front.most}
    subprocess.run(["umount", "-l", PLACE], check=True)
    return Progress(calm, front.done_s, told)


# 16 x 8.5 + 201.5 are 337.5 of 322 MiB: two applications' worth is lacking.
TMPFS = Workload("tmpfs", perform, minimum=2)

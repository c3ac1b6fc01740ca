"""A camera takes 40 % of RAM within a second, works with it and gives it back, three times."""

from __future__ import annotations

import time

from ..qemu.guest.cast import PLAIN, Part, Role, take, touch
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload

APP_MIB, BURST_MIB = 7, 91
PIECES, WITHIN_S, HELD_S, TIMES = 10, 1.0, 2.0, 3


def camera(mib: int) -> Role:
    """Tells 0 when it is there, then the milliseconds that each burst took."""

    def role(part: Part) -> None:
        part.tell(0)
        for _ in range(TIMES):
            begin, held = time.monotonic(), []
            for piece in range(PIECES):
                held.append(take(max(1, mib // PIECES), PLAIN))
                time.sleep(max(0.0, begin + (piece + 1) * WITHIN_S / PIECES - time.monotonic()))
            part.tell(int((time.monotonic() - begin) * 1000))
            while time.monotonic() < begin + WITHIN_S + HELD_S:
                for room in held:
                    touch(room, len(room) >> 20)
                time.sleep(0.1)
            for room in held:
                room.close()
            time.sleep(HELD_S)

    return role


def perform(trial: Trial) -> Progress:
    """Until the last burst is served, and then calm."""
    trial.idle(APP_MIB)
    front = trial.start("camera-0", 0, camera(trial.mib(BURST_MIB)))
    calm = trial.run(lambda: front.death_s or len(front.told) > TIMES)
    done_s = front.told[-1][0] if len(front.told) > TIMES else 0.0
    return Progress(calm, done_s, {"burst_ms": [ms for _, ms in front.told[1:]]})


# 16 x 8.5 + 92.5 are 229 of 322 MiB.
BURST = Workload("burst", perform, minimum=0)

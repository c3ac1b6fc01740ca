"""All workloads by name."""

from __future__ import annotations

from .background import BACKGROUND
from .boot import BOOT
from .burst import BURST
from .files import FILES
from .frozen import FROZEN
from .game import GAME
from .incompressible import INCOMPRESSIBLE
from .leak import LEAK
from .switch import SWITCH
from .thrash import THRASH
from .tmpfs import TMPFS

WORKLOADS = {
    each.name: each
    for each in (
        *(GAME, SWITCH, LEAK, THRASH, FILES, BURST),
        *(BACKGROUND, BOOT, INCOMPRESSIBLE, TMPFS, FROZEN),
    )
}

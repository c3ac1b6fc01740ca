"""The demo's applications and its two kinds of pressure; what comes of it is the daemon's business."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .apps import App
from .errors import SandboxError
from .sandbox import Sandbox

LIMIT_MIB = 256
APP_MIB = 10
# One process of each of AOSP's tiers, and nine of the one that is there to be killed. The adj is in the name, so
# that a name alone tells who should have lived.
APPS = (
    *((f"cached-{adj}", adj) for adj in range(916, 898, -2)),
    ("service-b-800", 800),
    ("previous-700", 700),
    ("home-600", 600),
    ("service-500", 500),
    ("perceptible-200", 200),
    ("visible-100", 100),
    ("foreground-0", 0),
)
# Outside the domain and more expendable than anybody in it: whoever kills one of them is wrong.
BYSTANDERS = (("bystander-999", 999), ("bystander-950", 950))
# The hog leaves room for the last three of the applications, the watermarks (6 %) and what the processes cost beside.
HOG_MIB = LIMIT_MIB - 3 * APP_MIB - LIMIT_MIB * 6 // 100 - 9
HOG_MIB_PER_S = 40


@dataclass(slots=True)
class Scene:
    """Everybody on the board before the pressure."""

    apps: tuple[App, ...]
    bystanders: tuple[App, ...]


def populate(board: Sandbox, patience_s: float = 20.0) -> Scene:
    """Start the applications and the bystanders and wait until they have their memory; SandboxError if they do not."""
    apps = tuple(board.start_app(name, adj, APP_MIB) for name, adj in APPS)
    bystanders = tuple(board.start_app(name, adj, 2, outside=True) for name, adj in BYSTANDERS)
    _wait_grown((*apps, *bystanders), patience_s)
    return Scene(apps, bystanders)


def revive(board: Sandbox, scene: Scene, patience_s: float = 20.0) -> bool:
    """Start again the applications that died; False when all live. SandboxError as populate()."""
    dead = [app for app in scene.apps if not app.is_alive()]
    scene.apps = tuple(board.start_app(app.name, app.adj, APP_MIB) if app in dead else app for app in scene.apps)
    _wait_grown(scene.apps, patience_s)
    return bool(dead)


def _wait_grown(apps: tuple[App, ...], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    for app in apps:
        while app.resident_kb() < app.size_kb:
            if time.monotonic() > deadline or not app.is_alive():
                raise SandboxError(
                    f"{app.name} has {app.resident_kb()} kB of its {app.size_kb} after {patience_s:g} s; "
                    "wanted all: is this machine itself out of memory?"
                )
            time.sleep(0.01)


def thrash_files(board: Sandbox) -> None:
    """Pressure of the first kind: somebody reads more file than fits beside the applications. Tasks stall: PSI."""
    board.start_thrashers(1)


def grow_hog(board: Sandbox) -> App:
    """Pressure of the second kind: an application in the foreground grows until there is nothing left to reclaim."""
    return board.start_hog(0, HOG_MIB_PER_S, limit_mib=HOG_MIB, name="game-0")


PRESSURES: dict[str, Callable[[Sandbox], object]] = {"thrash": thrash_files, "hog": grow_hog}


def press(board: Sandbox, scene: Scene, kind: str, seconds: float) -> list[str]:
    """Make pressure of one of PRESSURES for so long; the names of those it killed, most expendable first."""
    lived = [app for app in scene.apps if app.is_alive()]
    PRESSURES[kind](board)
    time.sleep(seconds)
    board.stop_pressure()
    return [app.name for app in lived if not app.is_alive()]

"""Where systemd runs, the daemon is its unit, which ends the steward alone: the killer guards until the next does."""

from __future__ import annotations

import os
import subprocess

from .files import Failed

UNIT = "lmkd_py.service"
PLACE = "/etc/systemd/system/" + UNIT
RESTARTS = 3  # of a unit that dies again and again: one death may pass by itself


def supervises(root: str) -> bool:
    """Whether the unit is there, for this root, and systemd runs."""
    try:
        with open(PLACE, encoding="utf-8") as file:
            return os.path.isdir("/run/systemd/system") and f" --root {root}\n" in file.read()
    except OSError:
        return False


def systemctl(verb: str) -> None:
    """Run systemctl on the unit. Raises Failed with systemctl's message."""
    done = subprocess.run(["systemctl", verb, UNIT], capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        raise Failed(f"systemctl {verb} {UNIT}: {done.stderr.decode('utf-8', 'replace').strip()}")


def restart() -> None:
    """Start the unit anew, however often it was started just now. Raises Failed with systemctl's message."""
    subprocess.run(["systemctl", "reset-failed", UNIT], capture_output=True, timeout=60, check=False)
    systemctl("restart")


def has_failed() -> bool:
    """Whether the unit has failed for good since restart(), or dies again and again."""
    words = ["systemctl", "show", "--property=ActiveState", "--property=NRestarts", UNIT]
    done = subprocess.run(words, capture_output=True, timeout=60, check=False)
    found = dict(line.split("=", 1) for line in done.stdout.decode("utf-8", "replace").split("\n") if "=" in line)
    restarts = found.get("NRestarts", "")  # systemd 235
    return found.get("ActiveState") == "failed" or (restarts.isdigit() and int(restarts) >= RESTARTS)

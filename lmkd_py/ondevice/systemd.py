"""Where systemd runs, the daemon is its unit, which ends the steward alone: the killer guards until the next does."""

from __future__ import annotations

import os
import subprocess

from .files import Failed

UNIT = "lmkd_py.service"
PLACE = "/etc/systemd/system/" + UNIT


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

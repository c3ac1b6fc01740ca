"""Running the slow steps of set-up: progress on one line while they work, everything they said when they fail."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

# What a person wants to see of pip's and apt's chatter: the thing being worked on.
MOVING = ("Collecting ", "Downloading ", "Installing ", "Building ", "Preparing ", "Get:", "Unpacking ", "Setting up ")


class SetupError(RuntimeError):
    """Set-up cannot go on; the text is one line for a person and says what to do."""


def say(line: str) -> None:
    """One line for the person at the terminal."""
    print(f"setup: {line}", flush=True)


def step(title: str, *command: str) -> None:
    """Run `command` with its progress on one line. Raises SetupError after showing the end of its output."""
    live = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns - 1
    started = time.monotonic()
    said: list[str] = []
    print(f"setup: {title} ...", end="" if live else "\n", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            if live and line.lstrip().startswith(MOVING):
                print("\r\x1b[K" + f"setup: {title}: {line.strip()}"[:width], end="", flush=True)
    seconds = time.monotonic() - started
    print(("\r\x1b[K" if live else "") + f"setup: {title}: ", end="")
    if process.returncode == 0:
        print(f"done ({seconds:.0f} s)", flush=True)
        return
    print("failed")
    print("\n".join(f"  {line}" for line in said[-20:]), flush=True)
    raise SetupError(f"'{' '.join(command)}' ended with {process.returncode}; its last words are above")


def apt_install(packages: Sequence[str], without: str) -> None:
    """Install Debian packages when root. Raises SetupError with the command to run otherwise."""
    names = " ".join(packages)
    if not shutil.which("apt-get"):
        raise SetupError(f"missing here: {names} (Debian's names; no apt-get on this machine; needed for: {without})")
    if os.geteuid() != 0:
        raise SetupError(f"missing here: {names}; run: sudo apt-get install {names}   (needed for: {without})")
    step("Debian's package lists", "apt-get", "update")
    step(f"Debian packages: {names}", "apt-get", "install", "-y", "--no-install-recommends", *packages)

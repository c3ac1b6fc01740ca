"""Everything a target needs before it runs: `python3 -m tools.setup demo|test|all|bench|lab` (make calls it).

NEEDS below is the one list of what this project takes from outside Python's standard library. Python packages go
into .venv (the extras of pyproject.toml name them); programs come from Debian, installed when root, named with the
command to run otherwise. A second run finds its stamp and does nothing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

from tools.setup_steps import SetupError, apt_install, say, step


class Program(NamedTuple):
    """A program that comes with a Debian package rather than with pip."""

    name: str  # as it is found on PATH
    packages: tuple[str, ...]  # Debian's
    without: str  # what does not work when it is missing


class Need(NamedTuple):
    """What one make target needs: pip extras and programs."""

    extras: str
    programs: tuple[Program, ...] = ()


C_COMPILER = Program("gcc", ("gcc", "libc6-dev"), "the C loop that the bench compares with and a kernel of our own")
QEMU = Program("qemu-system-aarch64", ("qemu-system-arm",), "everything on an emulated ARM board")
MKE2FS = Program("mke2fs", ("e2fsprogs",), "the disk of an emulated ARM board")
ADB = Program("adb", ("adb",), "the proof that real adb can talk to the virtual device")

NEEDS = {
    "demo": Need("host"),
    "test": Need("host,test", (C_COMPILER, ADB)),
    "all": Need("host,test,tuning", (C_COMPILER, ADB, QEMU, MKE2FS)),
    # earlyoom and nohang are not here: the bench unpacks them, since installing would start them on this machine.
    "bench": Need("host,test", (C_COMPILER, ADB, QEMU, MKE2FS)),
    "lab": Need("host", (C_COMPILER,)),  # the rest of it is unpacked by tools.lab_kernel
}

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
MIN_PYTHON = (3, 11)
SEARCH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # ordinary users lack the last two
STRICT = os.geteuid() == 0 and (os.environ.get("CI") == "true" or os.environ.get("SUITE") == "all")


def main(target: str) -> None:
    """Set up for `target`. Raises SetupError with one line for the person."""
    need = NEEDS[target]
    make_venv()
    # The path is part of it: an editable install points here and breaks when the checkout moves.
    inputs = hashlib.sha256((ROOT / "pyproject.toml").read_bytes() + Path(__file__).read_bytes())
    wanted = f"{ROOT}\n{inputs.hexdigest()}\n"
    if not any(stamp.is_file() and stamp.read_text() == wanted for stamp in covering(need.extras)):
        if not os.access(VENV, os.W_OK):
            raise SetupError(f"{VENV} belongs to another user: run make as that user, or: sudo chown -R $USER {ROOT}")
        pip = (str(VENV / "bin/python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input")
        step(f"Python packages ({need.extras})", *pip, "--progress-bar", "off", "-e", f"{ROOT}[{need.extras}]")
        stamp_of(need.extras).write_text(wanted)
    missing = [program for program in need.programs if not shutil.which(program.name, path=SEARCH)]
    if missing:
        get_programs(missing)


def stamp_of(extras: str) -> Path:
    """File that says what these extras were installed from."""
    return VENV / f".setup-{extras.replace(',', '-')}"


def covering(extras: str) -> set[Path]:
    """Stamps of every set of extras that holds these."""
    wanted = set(extras.split(","))
    return {stamp_of(need.extras) for need in NEEDS.values() if wanted <= set(need.extras.split(","))}


def make_venv() -> None:
    """A working .venv, made or repaired. Raises SetupError if this Python cannot make one."""
    if os.path.exists(VENV / "bin/python"):  # false for a link whose target went away
        return
    if sys.version_info < MIN_PYTHON:
        found = f"{sys.executable} is Python {sys.version_info[0]}.{sys.version_info[1]}"
        wanted = ".".join(map(str, MIN_PYTHON))
        raise SetupError(f"{found}, the host tool needs {wanted} or newer: make PYTHON=/path/to/python{wanted} ...")
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        # Debian splits these off python3; the package is named after the version.
        apt_install((f"python{sys.version_info[0]}.{sys.version_info[1]}-venv",), "nothing runs without it")
    step("virtual environment in .venv", sys.executable, "-m", "venv", "--clear", str(VENV))


def get_programs(missing: list[Program]) -> None:
    """Install them, or say what will be missing; where everything has to be there, SetupError."""
    packages = tuple(package for program in missing for package in program.packages)
    try:
        apt_install(packages, "; ".join(program.without for program in missing))
    except SetupError as error:
        if STRICT:
            raise
        say(f"{error}")
        for program in missing:
            say(f"  without {program.name}: {program.without} is left out (its tests are skipped)")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except SetupError as error:
        sys.exit(f"setup: {error}")

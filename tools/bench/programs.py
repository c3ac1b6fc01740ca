"""The bench's own C programs: built when they are needed, by the gcc of the machine."""

from __future__ import annotations

import os
import shutil
import subprocess

SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "c")


class MissingToolError(Exception):
    """Something that the bench needs is not on this machine; the text says what to do."""


def build(name: str, directory: str) -> str:
    """Path of the program `name`, compiled into `directory`. MissingToolError without a compiler."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise MissingToolError("no C compiler for the bench's comparison programs: apt-get install gcc libc6-dev")
    program = os.path.join(directory, name)
    if not os.path.exists(program):
        source = os.path.join(SOURCES, name + ".c")
        built = subprocess.run(
            [compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, source], capture_output=True, text=True
        )
        if built.returncode:
            raise MissingToolError(f"{source} does not compile: {built.stderr.strip()}")
    return program

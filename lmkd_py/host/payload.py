"""What goes to a device: the payload as it lies in this installation, and the part of lmkctl that runs over there."""

from __future__ import annotations

from pathlib import Path

from .tree import Tree

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = ("core", "kernel", "wire", "daemon", "host/ondevice")
FILES = ("__init__.py", "host/__init__.py")


def payload() -> Tree:
    """The release this lmkctl would install; `digest` is its name."""
    names = [*FILES, *(f.relative_to(PACKAGE).as_posix() for room in ROOMS for f in (PACKAGE / room).rglob("*.py"))]
    return Tree({f"lmkd_py/{name}": (PACKAGE / name).read_bytes() for name in names})

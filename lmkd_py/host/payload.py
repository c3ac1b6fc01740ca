"""What goes to a device: the payload as it lies in this installation, and the part of lmkctl that runs over there."""

from __future__ import annotations

from pathlib import Path

from .tree import Tree

PACKAGE = Path(__file__).resolve().parent.parent
ROOMS = ("core", "kernel", "wire", "daemon", "ondevice")
KINDS = ("*.py", "*.o")  # the second are BPF programs


def payload() -> Tree:
    """The release this lmkctl would install; `digest` is its name."""
    found = (path for room in ROOMS for kind in KINDS for path in (PACKAGE / room).rglob(kind))
    names = ["__init__.py", *(path.relative_to(PACKAGE).as_posix() for path in found)]
    return Tree({f"lmkd_py/{name}": (PACKAGE / name).read_bytes() for name in names})

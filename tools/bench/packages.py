"""Debian's earlyoom, nohang and oomd, unpacked in the user's cache: installing would start them on this machine."""

from __future__ import annotations

from typing import NamedTuple

from lmkd_py.board import debs
from tools.bench.programs import MissingToolError


class Peer(NamedTuple):
    """A killer from a Debian package, unpacked and ready to run."""

    name: str
    version: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()


_COMMANDS = {
    "earlyoom": ("{root}/usr/bin/earlyoom", "-r", "0"),
    "nohang": ("{root}/usr/sbin/nohang", "--monitor", "--config", "{root}/etc/nohang/nohang.conf"),
    "oomd": ("{root}/usr/bin/oomd",),
}
_WITH_LIBRARIES = ("oomd",)  # it is C++ and needs what a small machine has not


def unpack(name: str) -> Peer:
    """Fetch and unpack one package of this machine's suite. MissingToolError says why it cannot be had."""
    try:
        root = debs.unpack(f"peer-{name}", (name,), debs.own_suite(), with_dependencies=name in _WITH_LIBRARIES)
    except debs.PackageError as error:
        raise MissingToolError(f"{name}: not measured: {error}") from error
    libraries = ":".join(sorted({str(found.parent) for found in root.rglob("lib*.so.*")}))
    environment = (("LD_LIBRARY_PATH", libraries),) if name in _WITH_LIBRARIES else ()
    command = tuple(word.format(root=root) for word in _COMMANDS[name])
    return Peer(name, debs.versions(root)[name], command, environment)

"""Debian's earlyoom and nohang, unpacked in the user's cache: installing them would start them on this machine."""

from __future__ import annotations

from typing import NamedTuple

from lmkd_py.board import debs
from tools.bench.programs import MissingToolError


class Peer(NamedTuple):
    """A killer from Debian, ready to run."""

    name: str
    version: str
    command: tuple[str, ...]


_COMMANDS = {
    "earlyoom": ("{root}/usr/bin/earlyoom", "-r", "0"),
    "nohang": ("{root}/usr/sbin/nohang", "--monitor", "--config", "{root}/etc/nohang/nohang.conf"),
}


def unpack(name: str) -> Peer:
    """Fetch and unpack one package of this machine's suite. MissingToolError says why it cannot be had."""
    try:
        root = debs.unpack(f"peer-{name}", (name,), debs.own_suite())
    except debs.PackageError as error:
        raise MissingToolError(f"{name}: not measured: {error}") from error
    return Peer(name, debs.versions(root)[name], tuple(word.format(root=root) for word in _COMMANDS[name]))

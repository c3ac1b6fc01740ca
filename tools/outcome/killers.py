"""The killers on trial, and how each is started on a board."""

from __future__ import annotations

import shlex
from typing import NamedTuple

from lmkd_py.core.config import PolicyConfig, make_policy
from lmkd_py.core.vocabulary import PolicyKind


class Killer(NamedTuple):
    """One of: a policy of ours, a command line, a unit of systemd; with none of them the kernel is alone."""

    name: str
    policy: PolicyConfig | None = None
    command: tuple[str, ...] = ()
    unit: str = ""  # of systemd, which starts it
    marker: str = ""  # a word of its command lines
    register: str = ""  # how applications are made known to it: see guest/register.py
    package: str = ""  # of Debian


def ours(name: str, **tunables: int) -> Killer:
    """Our daemon with these policy settings."""
    return Killer(name, make_policy(**tunables), marker="lmkd_py.daemon")


STEADY = ours("steady", kind=int(PolicyKind.STEADY))
AOSP_MENDED = ours("aosp_mended", kind=int(PolicyKind.AOSP_MENDED))
# As Debian's own units start them.
EARLYOOM = Killer(
    "earlyoom", command=("/usr/bin/earlyoom", "-r", "3600"), marker="/usr/bin/earlyoom", package="earlyoom"
)
NOHANG = Killer(
    "nohang",
    command=("/usr/bin/python3", "/usr/sbin/nohang", "--monitor", "--config", "/etc/nohang/nohang.conf"),
    marker="/usr/sbin/nohang",
    package="nohang",
)
SYSTEMD_OOMD = Killer("systemd-oomd", unit="systemd-oomd", marker="/lib/systemd/systemd-oomd")
KERNEL = Killer("kernel")

KILLERS = {each.name: each for each in (STEADY, AOSP_MENDED, EARLYOOM, NOHANG, SYSTEMD_OOMD, KERNEL)}
PACKAGES = tuple(each.package for each in KILLERS.values() if each.package)


def parse(word: str, register: str) -> Killer:
    """`NAME=COMMAND`: a killer of the user's. ValueError when there is no command."""
    name, _, command = word.partition("=")
    words = tuple(shlex.split(command))
    if not name or not words:
        raise ValueError(f"--killer {word!r}: wanted NAME=COMMAND")
    return Killer(name, command=words, marker=words[0].rpartition("/")[2], register=register)

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
    needs: tuple[str, ...] = ()  # more of them
    prepare: str = ""  # a shell command on the board, before it starts
    has_systemd: bool = False  # it runs on boards with systemd alone


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
SYSTEMD_OOMD = Killer("systemd-oomd", unit="systemd-oomd", marker="/lib/systemd/systemd-oomd", has_systemd=True)
# Debian's settings guard the sessions of users; here the applications lie in apps.slice.
OOMD = Killer(
    "oomd",
    command=("/usr/bin/oomd", "--config", "/run/oomd.json"),
    marker="/usr/bin/oomd",
    package="oomd",
    needs=("libjsoncpp25", "libstdc++6"),
    prepare='sed -e \'s#"user.slice/[^,"]*,[^"]*"#"apps.slice/*"#; s#user.slice#apps.slice#\' /etc/oomd/oomd.json '
    ">/run/oomd.json",
    has_systemd=True,
)
KERNEL = Killer("kernel")

KILLERS = {each.name: each for each in (STEADY, AOSP_MENDED, EARLYOOM, NOHANG, SYSTEMD_OOMD, OOMD, KERNEL)}


def packages(has_systemd: bool) -> tuple[str, ...]:
    """Debian's, for all the killers of such a board."""
    fitting = [each for each in KILLERS.values() if each.package and (has_systemd or not each.has_systemd)]
    return tuple(name for each in fitting for name in (each.package, *each.needs))


def parse(word: str, register: str) -> Killer:
    """`NAME=COMMAND`: a killer of the user's. ValueError when there is no command."""
    name, _, command = word.partition("=")
    words = tuple(shlex.split(command))
    if not name or not words:
        raise ValueError(f"--killer {word!r}: wanted NAME=COMMAND")
    return Killer(name, command=words, marker=words[0].rpartition("/")[2], register=register)

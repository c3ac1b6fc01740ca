"""Debian's earlyoom and nohang for the bench, unpacked in the user's cache: `python3 -m tools.peers` prints where."""

from __future__ import annotations

import sys
from pathlib import Path

from tools.debs import PackageError, own_suite, unpack

PACKAGES = ("earlyoom", "nohang")


def peers_root() -> Path:
    """Root directory that holds usr/bin/earlyoom, usr/sbin/nohang and etc/nohang. Raises PackageError."""
    return unpack("peers", PACKAGES, own_suite())


if __name__ == "__main__":
    try:
        print(peers_root())
    except PackageError as error:
        sys.exit(f"peers: {error}")

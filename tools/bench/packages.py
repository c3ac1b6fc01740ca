"""Debian's earlyoom and nohang, unpacked beside everything else: installing them would start them on this machine."""

from __future__ import annotations

import glob
import os
import shutil
import subprocess
from typing import NamedTuple

from tools.bench.programs import MissingToolError


class Peer(NamedTuple):
    """A killer from Debian, ready to run."""

    name: str
    version: str
    command: tuple[str, ...]  # {root} is where it was unpacked


_COMMANDS = {
    "earlyoom": ("usr/bin/earlyoom", "-r", "0"),
    "nohang": ("usr/sbin/nohang", "--monitor", "--config", "{root}/etc/nohang/nohang.conf"),
}


def unpack(name: str, directory: str) -> Peer:
    """Downloads and unpacks one package into `directory`. MissingToolError says why it cannot be had."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise MissingToolError(f"{name}: not measured, this machine has no apt-get")
    root = os.path.join(directory, name)
    os.makedirs(root, exist_ok=True)
    download = ["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name]
    if subprocess.run(download, cwd=directory, capture_output=True).returncode:
        subprocess.run(["apt-get", "-qq", "update"], capture_output=True)
        again = subprocess.run(download, cwd=directory, capture_output=True, text=True)
        if again.returncode:
            raise MissingToolError(f"{name}: not measured, apt-get download says: {again.stderr.strip()}")
    package = glob.glob(os.path.join(directory, name + "_*.deb"))[0]
    subprocess.run(["dpkg-deb", "-x", package, root], check=True)
    version = subprocess.run(["dpkg-deb", "-f", package, "Version"], check=True, capture_output=True, text=True).stdout
    program, *options = _COMMANDS[name]
    command = (os.path.join(root, program), *(option.format(root=root) for option in options))
    return Peer(name, version.strip(), command)

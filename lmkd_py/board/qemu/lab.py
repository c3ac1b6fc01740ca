"""The kernel of the profile `lab`, with fault injection: where it lies once `make lab-kernels` has built it."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ..debs import PackageError, cache_dir

CONFIG = Path(__file__).with_name("lab.config")
IMAGE = "Image"


def place(source_version: str) -> Path:
    """Directory of the kernel built from this version of Debian's source with the configuration of now."""
    key = hashlib.sha256(CONFIG.read_bytes()).hexdigest()[:16]
    return cache_dir() / f"lab-kernel-{source_version}-{key}"


def image() -> Path:
    """The kernel built last with the configuration of now. PackageError if there is none."""
    built = [folder / IMAGE for folder in cache_dir().glob(place("*").name)]
    found = [path for path in built if path.is_file()]
    if not found:
        raise PackageError("no kernel with fault injection is built yet; run: make lab-kernels")
    return max(found, key=lambda path: path.stat().st_mtime_ns)

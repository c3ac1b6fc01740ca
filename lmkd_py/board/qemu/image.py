"""What a virtual ARM board boots: Debian's arm64 kernel, Python and busybox in one initramfs, made without root.

The base holds everything of Debian and is kept in the user's cache under a key of its contents; the code of this
checkout lies in a second archive behind it, made anew for each boot.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .. import debs
from ..launch import PACKAGE_ROOT
from . import lab
from .cpio import FILE, LINK, archive
from .userland import SUITE, Files, compiled, packages, userland

KERNELS = {
    version: (suite, "meta:linux-image-cloud-arm64")
    for version, suite in (("5.10", "bullseye"), ("6.1", "bookworm"), ("6.12", "trixie"))
}
LAB = "lab"  # ours, with everything built in
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "zram", "lz4", "lz4_compress", "lzo", "lzo_rle")
_ORDER = "usr/lib/modules/order"
_OURS = ("__init__.py", "board/__init__.py", "board/adbd/*.py", "board/qemu/guest/*.py", "board/workloads/*.py")


def kernel(version: str, say: debs.Say = debs.to_stderr) -> tuple[Path, Files]:
    """The kernel's image and its modules in the order in which they are loaded; PackageError."""
    if version == LAB:
        return lab.image(), {_ORDER: (FILE | 0o644, b"")}
    suite, package = KERNELS[version]
    root = debs.unpack(f"arm64-kernel-{version}", (package,), suite, architecture="arm64", say=say)
    (image,) = (root / "boot").glob("vmlinuz-*")
    found = {}
    for path in sorted(root.rglob("*.ko*")):
        name = path.name.partition(".")[0].replace("-", "_")
        found[name] = path
    order: list[str] = []

    def want(name: str) -> None:
        if name not in found or name in order:  # built in, or asked for already
            return
        for needed in _depends(_module(found[name])):
            want(needed)
        order.append(name)

    for name in MODULES:
        want(name)
    files: Files = {f"usr/lib/modules/{name}.ko": (FILE | 0o644, _module(found[name])) for name in order}
    files[_ORDER] = (FILE | 0o644, "".join(f"/lib/modules/{name}.ko\n" for name in order).encode())
    return image, files


def _module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def _depends(module: bytes) -> list[str]:
    # The line `depends=a,b` of the section .modinfo; extracted packages have no modules.dep.
    at = module.find(b"\0depends=")
    names = module[at + 9 : module.index(b"\0", at + 9)].decode() if at >= 0 else ""
    return [name.replace("-", "_") for name in names.split(",") if name]


def base(version: str, has_systemd: bool = False, port: int = 0, say: debs.Say = debs.to_stderr) -> tuple[Path, Path]:
    """Paths of the kernel and of the base archive, made if they are not in the cache yet; PackageError.

    port: of the ADB endpoint, where systemd starts it.
    """
    image, modules = kernel(version, say)
    parts = (
        packages(has_systemd, say) / debs.DONE,
        *map(Path(__file__).with_name, ("image.py", "cpio.py", "userland.py")),
    )
    made_of = b"".join(path.read_bytes() for path in parts) + f"{image.name} {port} {sys.version}".encode()
    key = hashlib.sha256(made_of).hexdigest()[:16]
    place = debs.cache_dir() / f"board-{version}-{key}.cpio"
    if not place.exists():
        say("making the board's first file system")
        new = place.with_suffix(f".{os.getpid()}")
        new.write_bytes(archive({**userland(has_systemd, port, say), **modules}))
        new.replace(place)
    return image, place


def versions(has_systemd: bool) -> dict[str, str]:
    """Of the packages of such a root, by name; PackageError."""
    return debs.versions(packages(has_systemd))


def extra(names: Sequence[str], say: debs.Say = debs.to_stderr) -> tuple[bytes, dict[str, str]]:
    """An archive of the programs, libraries and settings of more packages, and their versions; PackageError."""
    root = debs.unpack("arm64-extra-" + "-".join(names), names, SUITE, architecture="arm64", say=say)
    files: Files = {}
    for path in sorted(root.rglob("*")):
        where = path.relative_to(root).as_posix()
        is_library = where.startswith("usr/lib/") and ".so" in path.name
        if path.is_symlink():
            if is_library:
                files[where] = (LINK, os.readlink(path).encode())
        elif path.is_file() and (is_library or where.startswith(("usr/bin/", "usr/sbin/", "etc/"))):
            files[where] = (FILE | (0o755 if os.access(path, os.X_OK) else 0o644), path.read_bytes())
    return archive(files), debs.versions(root)


def overlay(init: bytes, keys: bytes) -> bytes:
    """The code of this checkout that runs on the board from the start, its init, and whom its endpoint lets in."""
    package = Path(PACKAGE_ROOT) / "lmkd_py"
    files: Files = {"init": (FILE | 0o755, init), "adb_keys": (FILE | 0o600, keys)}
    for pattern in _OURS:
        for path in package.glob(pattern):
            files.update(compiled(path, f"opt/lmkd/lmkd_py/{path.relative_to(package).as_posix()}"))
    return archive(files)

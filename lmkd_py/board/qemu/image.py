"""What a virtual ARM board boots: Debian's arm64 kernel, Python and busybox in one initramfs, made without root.

The base holds everything of Debian and is kept in the user's cache under a key of its contents; the code of this
checkout lies in a second archive behind it, made anew for each boot.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import py_compile
import sys
import tempfile
from pathlib import Path

from .. import debs
from ..launch import PACKAGE_ROOT
from . import lab
from .cpio import FILE, LINK, archive

SUITE = "bookworm"
KERNELS = {"6.1": ("bookworm", "meta:linux-image-cloud-arm64"), "6.12": ("trixie", "meta:linux-image-cloud-arm64")}
LAB = "lab"  # ours, with everything built in
GUEST = (
    *("busybox-static", "python3.11-minimal", "libpython3.11-minimal", "libpython3.11-stdlib"),
    *("libc6", "libcrypt1", "libexpat1", "libffi8", "liblzma5", "libbz2-1.0", "zlib1g"),
)
MODULES = ("virtio_pci", "virtio_net", "virtio_blk", "zram", "lz4", "lz4_compress", "lzo", "lzo_rle")
PYTHON = "usr/lib/python3.11"
_ORDER = "usr/lib/modules/order"
# Not needed on a board, and dear where every file takes memory.
_WITHOUT = (
    "test",
    "idlelib",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "distutils",
    "curses",
    "sqlite3",
    "pydoc",
    "turtle",
    "config-",
)
_WITHOUT_LIBRARIES = ("_codecs_", "_ssl.", "_hashlib.", "_sqlite3.", "_curses", "_dbm.", "_tkinter", "_test")
_OURS = ("__init__.py", "board/__init__.py", "board/adbd/*.py", "board/qemu/guest/*.py")
Files = dict[str, tuple[int, bytes]]


def kernel(version: str) -> tuple[Path, Files]:
    """The kernel's image and its modules in the order in which they are loaded; PackageError."""
    if version == LAB:
        return lab.image(), {_ORDER: (FILE | 0o644, b"")}
    suite, package = KERNELS[version]
    root = debs.unpack(f"arm64-kernel-{version}", (package,), suite, architecture="arm64")
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


def userland() -> Files:
    """Python, busybox and the libraries they need; PackageError."""
    root = debs.unpack("arm64-guest", GUEST, SUITE, architecture="arm64")
    files: Files = {"bin": (LINK, b"usr/bin"), "sbin": (LINK, b"usr/bin"), "lib": (LINK, b"usr/lib")}
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            where = path.relative_to(root).as_posix()
            if where.split("/")[0] in ("bin", "sbin", "lib"):  # packages from before the merge of /usr
                where = "usr/" + where
            if not where.startswith(("usr/bin/", "usr/lib/")) or _is_left_out(where):
                continue
            if path.is_symlink():
                target = os.readlink(path)
                files[where] = (LINK, target.encode())
            elif where.startswith(PYTHON) and where.endswith(".py"):
                files.update(_compiled(path, where))
            else:
                files[where] = (FILE | (0o755 if os.access(path, os.X_OK) else 0o644), path.read_bytes())
    files["usr/bin/python3"] = (LINK, b"python3.11")
    files["usr/bin/sh"] = (LINK, b"busybox")
    return files


def _is_left_out(where: str) -> bool:
    if not where.startswith(PYTHON):
        return any(part in where for part in ("/systemd/", "/gconv/", "binfmt"))
    rest = where[len(PYTHON) + 1 :]
    library = rest.removeprefix("lib-dynload/")
    return rest.startswith(_WITHOUT) or (library != rest and library.startswith(_WITHOUT_LIBRARIES))


def _compiled(path: Path, where: str) -> Files:
    # Compiled here: under emulation it would take seconds at each start. Another Python's code is of no use there.
    if sys.version_info[:2] != (3, 11):
        return {where: (FILE | 0o644, path.read_bytes())}
    with tempfile.NamedTemporaryFile(suffix=".pyc") as out:
        mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
        py_compile.compile(str(path), out.name, "/" + where, doraise=True, invalidation_mode=mode)
        return {where + "c": (FILE | 0o644, Path(out.name).read_bytes())}


def base(version: str) -> tuple[Path, Path]:
    """Paths of the kernel and of the base archive, made if they are not in the cache yet; PackageError."""
    image, modules = kernel(version)
    packages = debs.cache_dir() / f"arm64-guest-{SUITE}" / debs.DONE
    debs.unpack("arm64-guest", GUEST, SUITE, architecture="arm64")
    maker = b"".join(Path(__file__).with_name(name).read_bytes() for name in ("image.py", "cpio.py"))
    key = hashlib.sha256(packages.read_bytes() + image.name.encode() + maker + sys.version.encode()).hexdigest()[:16]
    place = debs.cache_dir() / f"board-{version}-{key}.cpio"
    if not place.exists():
        new = place.with_suffix(f".{os.getpid()}")
        new.write_bytes(archive({**userland(), **modules}))
        new.replace(place)
    return image, place


def overlay(init: bytes) -> bytes:
    """The code of this checkout that runs on the board from the start, and its init."""
    package = Path(PACKAGE_ROOT) / "lmkd_py"
    files: Files = {"init": (FILE | 0o755, init)}
    for pattern in _OURS:
        for path in package.glob(pattern):
            files.update(_compiled(path, f"opt/lmkd/lmkd_py/{path.relative_to(package).as_posix()}"))
    return archive(files)

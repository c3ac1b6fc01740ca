"""Builds device/module for the kernel of a virtual board, with Debian's headers of the same version and its compiler.

The compiler lives in a root of its own in the user's cache and runs there (a changed root in private namespaces): the
headers name absolute paths, and the host tools of one Debian do not run on another. Needs no root, installs nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from .. import debs
from ..launch import PACKAGE_ROOT
from . import image

SOURCE = Path(PACKAGE_ROOT) / "device" / "module"
SHIPPED, TEST = "lmkd_memalloc.ko", "lmkd_drain.ko"
# What kbuild calls beside the compiler. The headers of each kernel name the compiler that it was built with.
_TOOLS = ("make", "dash", "coreutils", "sed", "grep", "mawk", "findutils")
_COMPILERS = {"6.1": ("linux-kbuild-6.1", "gcc-12-aarch64-linux-gnu"), "6.12": ("", "gcc-14-aarch64-linux-gnu")}
VERSIONS = tuple(_COMPILERS)  # those of image.KERNELS that it has been built for
_BUILD = """set -eu
root=$1 headers=$2 source=$3 kernel=$4
cd "$root"
mkdir -p dev proc mnt usr/src
for name in bin sbin lib lib64; do [ -e $name ] || ln -s usr/$name $name; done
mount --rbind /dev dev
mount --bind "$headers/usr/src" usr/src
mount --bind "$source" mnt
exec env -i PATH=/mnt/.bin:/usr/bin:/bin:/usr/sbin:/sbin LC_ALL=C chroot . \
    make -C "/usr/src/linux-headers-$kernel" M=/mnt ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- LMKD_TEST=1 modules
"""


def release_of(version: str) -> str:
    """uname -r of the board's kernel; PackageError."""
    return image.kernel(version)[0].name.removeprefix("vmlinuz-")


def build(version: str) -> Path:
    """Directory with SHIPPED and TEST for image.KERNELS[version], built if its source is new; PackageError."""
    release = release_of(version)
    paths = sorted(path for path in SOURCE.rglob("*") if path.name == "Kbuild" or path.suffix in (".c", ".h"))
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in paths)).hexdigest()[:16]
    place = debs.cache_dir() / f"module-{release}-{key}"
    if not place.is_dir():
        root, headers = _tools(version, release)
        with tempfile.TemporaryDirectory(prefix="module-", dir=debs.cache_dir()) as scratch:
            work = Path(scratch) / "work"
            shutil.copytree(SOURCE, work)
            (work / ".bin").mkdir()
            (work / ".bin/awk").symlink_to("/usr/bin/mawk")  # what its installation would link
            _make(root, headers, work, release)
            new = Path(scratch) / "new"
            new.mkdir()
            for made in (work / SHIPPED, work / "test" / TEST):
                shutil.copy(made, new)
            try:
                new.rename(place)
            except OSError:  # somebody else was faster
                if not place.is_dir():
                    raise
    return place


def _tools(version: str, release: str) -> tuple[Path, Path]:
    # 6.1.0-50-cloud-arm64 has common headers 6.1.0-50-common; newer kernels name their build tools after them, too.
    suite = image.KERNELS[version][0]
    common = release.removesuffix("-cloud-arm64")
    headers = (f"linux-headers-{release}", f"linux-headers-{common}-common")
    kbuild, compiler = _COMPILERS[version]
    tools = (kbuild or f"linux-kbuild-{common}", compiler, *_TOOLS)
    try:
        return (
            debs.unpack(f"kbuild-{version}", tools, suite, with_dependencies=True),
            debs.unpack(f"arm64-headers-{version}", headers, suite, architecture="arm64"),
        )
    except debs.PackageError as error:
        stale = debs.cache_dir() / f"arm64-kernel-{version}-{suite}"
        raise debs.PackageError(
            f"{error}\nIf the archive has a newer kernel than {release} by now: rm -r {stale}, and try again"
        ) from error


def _make(root: Path, headers: Path, work: Path, release: str) -> None:
    own = [] if os.geteuid() == 0 else ["--map-root-user"]
    command = ["unshare", "--mount", *own, "sh", "-c", _BUILD, "sh", str(root), str(headers), str(work), release]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    warned = re.search(r"^.*(?:warning|WARNING): .*$", done.stderr, re.M)
    if done.returncode or warned:
        said = (done.stdout + done.stderr).strip().splitlines()[-30:]
        raise debs.PackageError("\n".join((f"device/module for {release}: make ended with {done.returncode}", *said)))

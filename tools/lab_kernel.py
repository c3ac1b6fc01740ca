"""make lab-kernels: the kernel with fault injection of the virtual board's profile `lab`, from Debian's linux-source.

Built once and kept in the user's cache under its source version and a hash of its configuration; a second call finds
it there. Source, cross compiler, flex, bison and bc are Debian's, unpacked in the cache: 139 and 45 MB of downloads.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lmkd_py.board import debs
from lmkd_py.board.qemu import lab

SOURCE, SOURCE_SUITE = "linux-source-6.1", "bookworm"
TOOLS = ("gcc-aarch64-linux-gnu", "flex", "bison", "bc")
FOR_THE_HOST = {"gcc": "gcc libc6-dev", "make": "make"}  # kconfig and the like run here, against this machine's libc
ABOUT_FILES = 800  # compiled for lab.config
# Never compiled, and two thirds of what would have to be unpacked; Kconfig wants their menus, make their lists.
_LEFT_OUT = (
    *("Documentation", "sound", "drivers/gpu", "drivers/media", "drivers/staging", "drivers/net/wireless"),
    *("drivers/net/ethernet", "drivers/infiniband", "drivers/scsi", "fs/xfs", "fs/btrfs"),
)
_MENUS = ("Kconfig", "Makefile", "Kbuild")
_ARCHES = ("arm64", "arm")


def main() -> Path:
    """Path of the kernel, built first if need be. Raises PackageError."""
    try:
        return lab.image()
    except debs.PackageError:
        pass
    missing = [packages for program, packages in FOR_THE_HOST.items() if not shutil.which(program)]
    if missing:
        raise debs.PackageError(f"a kernel needs a compiler here; run: sudo apt-get install {' '.join(missing)}")
    say(f"Debian's {SOURCE} and a compiler for it (139 and 45 MB, kept in {debs.cache_dir()})")
    source = debs.unpack(SOURCE, (SOURCE,), SOURCE_SUITE)
    tools = debs.unpack("lab-tools", TOOLS, debs.own_suite(), with_dependencies=True)
    version = debs.versions(source)[SOURCE]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="lab-kernel-", dir=debs.cache_dir()) as scratch:
        say(f"unpacking {SOURCE} {version}")
        (archive,) = (source / "usr/src").glob("*.tar.xz")
        extract(archive, Path(scratch))
        tree = Path(scratch) / SOURCE
        environment = {**os.environ, **toolchain(tools, Path(scratch) / "lib")}
        make(tree, environment, "allnoconfig")
        refuse_lost_options(tree / ".config")
        say(f"compiling with {cpus()} CPUs: about 10 minutes on two quiet ones")
        make(tree, environment, "Image")
        ready = Path(scratch) / "ready"
        ready.mkdir()
        shutil.copy(tree / ".config", ready / "config")
        shutil.copy(tree / "arch/arm64/boot/Image", ready / lab.IMAGE)
        place = lab.place(version)
        shutil.rmtree(place, ignore_errors=True)
        ready.rename(place)
    say(f"done after {(time.monotonic() - began) / 60:.0f} minutes: {place / lab.IMAGE}")
    return place / lab.IMAGE


def say(line: str) -> None:
    """One line for the person at the terminal."""
    print(f"lab kernel: {line}", flush=True)


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def extract(archive: Path, target: Path) -> None:
    """Unpack those parts of the kernel's source that the build needs."""
    with tarfile.open(archive) as tar:
        if hasattr(tarfile, "tar_filter"):  # not in Debian 12's Python 3.11.2, which has no `filter=` either
            tar.extraction_filter = tarfile.tar_filter
        tar.extractall(target, members=_wanted(tar))


def _wanted(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(*PurePosixPath(member.name).parts[1:])  # the first is the version
        of_other_arch = path.parts[:1] == ("arch",) and len(path.parts) > 2 and path.parts[1] not in _ARCHES
        if path.name.startswith(_MENUS) or not (of_other_arch or any(map(path.is_relative_to, _LEFT_OUT))):
            yield member


def toolchain(root: Path, libraries: Path) -> dict[str, str]:
    """Environment in which Debian's tools run from where they were unpacked."""
    here = set()
    for folder in ("/lib", "/usr/lib"):
        here |= {path.name for path in Path(folder).glob("*-linux-gnu*/*.so*")}
    # This machine's own libraries come first, its libc above all: those of another update do not mix with its loader.
    libraries.mkdir()
    for path in root.glob("**/*-linux-gnu*/*.so*"):
        link = libraries / path.name
        if path.name not in here and "gcc-cross" not in path.parts and not link.is_symlink():
            link.symlink_to(path)
    return {
        "PATH": f"{root}/usr/bin:{os.environ.get('PATH', os.defpath)}",
        "LD_LIBRARY_PATH": str(libraries),
        "BISON_PKGDATADIR": f"{root}/usr/share/bison",
        "M4": f"{root}/usr/bin/m4",
        "ARCH": "arm64",
        "CROSS_COMPILE": "aarch64-linux-gnu-",
        "KCONFIG_ALLCONFIG": str(lab.CONFIG),
        "KBUILD_BUILD_USER": "lab",
        "KBUILD_BUILD_HOST": "lmkd_py",
        "LC_ALL": "C",
        "MAKEFLAGS": "",  # we are called by make ourselves
    }


def make(tree: Path, environment: dict[str, str], target: str) -> None:
    """Run make with its progress on one line, or in a few where nobody watches. Raises PackageError."""
    said: list[str] = []
    files = 0
    live = sys.stdout.isatty()
    command = ["make", "-C", str(tree), f"-j{cpus()}", target]
    with subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said.append(line.rstrip())
            if line.startswith(("  CC ", "  AS ")):
                files += 1
                if live:
                    print(f"\r\x1b[Klab kernel: {files} of about {ABOUT_FILES} files", end="", flush=True)
                elif files % (ABOUT_FILES // 8) == 0:
                    say(f"{files} of about {ABOUT_FILES} files")
    if live:
        print("\r\x1b[K", end="")
    if process.returncode:
        raise debs.PackageError("\n".join((f"{' '.join(command)}: exit {process.returncode}", *said[-20:])))


def refuse_lost_options(config: Path) -> None:
    """PackageError if an option of ours was not taken: its name changed, or it needs another one."""
    taken = set(config.read_text().splitlines())
    lost = [line for line in lab.CONFIG.read_text().splitlines() if line.startswith("CONFIG_") and line not in taken]
    if lost:
        raise debs.PackageError(f"{lab.CONFIG}: this kernel does not take {', '.join(lost)}")


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was unpacked is removed
    try:
        print(main())
    except debs.PackageError as error:
        sys.exit(f"lab kernel: {error}")

"""lmkd_py/kernel/bpf/*.o from device/bpf/*.bpf.c, by one compiler on every machine: `make bpf`.

The compiler is clang 14 of Debian 12, whose bytes do not change any more; it is unpacked into the user's cache (about
60 MB are fetched the first time), also where another clang is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from lmkd_py.board import debs

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "device/bpf"
OBJECTS = ROOT / "lmkd_py/kernel/bpf"
PROGRAMS = ("strike", "probe")

SUITE = "bookworm"
# clang and the libraries it is linked with; the C library is the machine's own, which may be newer.
PACKAGES = (
    *("clang-14", "libclang-cpp14", "libllvm14", "libz3-4", "libedit2", "libbsd0", "libmd0", "libtinfo6", "libffi8"),
    *("libxml2", "libicu72", "liblzma5", "zlib1g", "libstdc++6", "libgcc-s1"),
)
# v3: compare-exchange; what else it has Linux 5.1 takes. No debug information and no compiler's name: the same bytes
# from any directory.
FLAGS = (
    "-target",
    "bpf",
    "-mcpu=v3",
    "-O2",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-nostdinc",
    "-ffreestanding",
    "-fno-ident",
)


def build(folder: Path) -> None:
    """Compile the programs into `folder`. PackageError without the compiler, CalledProcessError if it refuses."""
    root = debs.unpack("bpf-compiler", PACKAGES, SUITE)
    libraries = [str(path) for path in (*root.glob("usr/lib/*-linux-gnu"), *root.glob("lib/*-linux-gnu"))]
    libraries.append(str(root / "usr/lib/llvm-14/lib"))
    environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)}
    for name in PROGRAMS:
        command = [str(root / "usr/bin/clang-14"), *FLAGS, "-c", f"{name}.bpf.c", "-o", str(folder / f"{name}.o")]
        subprocess.run(command, cwd=SOURCES, env=environment, check=True)


if __name__ == "__main__":
    try:
        build(OBJECTS)
    except debs.PackageError as error:
        sys.exit(f"make bpf: {error}")

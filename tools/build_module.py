"""Builds device/module for kernels of the virtual boards: `make module`. The results go into build/module/."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from lmkd_py.board.debs import PackageError
from lmkd_py.board.qemu import modules

OUT = Path(__file__).resolve().parent.parent / "build" / "module"


def main() -> None:
    """Build the module for every kernel release, each in a directory of its own."""
    for version in modules.VERSIONS:
        release = modules.release_of(version)
        made = modules.build(version)
        (OUT / release).mkdir(parents=True, exist_ok=True)
        shutil.copy(made / modules.SHIPPED, OUT / release)
        print(f"build/module/{release}/{modules.SHIPPED}")


if __name__ == "__main__":
    try:
        main()
    except PackageError as error:
        sys.exit(f"module: {error}")

"""Debian trixie's Python on any Debian: `python3 -m tools.trixie_python` prints the path of a runnable interpreter.

Trixie is what the boards of today run; the developer's machine may be older. The interpreter, its standard library
and its libc are unpacked in the user's cache (24 MB of downloads, 54 MB on disk) and run through their own loader.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tools.debs import PackageError, unpack

PACKAGES = ("python3.13-minimal", "libpython3.13-stdlib")

# The loader is called with the libraries beside it, and told the name that lets Python find its own prefix.
WRAPPER = """\
#!/bin/sh
here=$(cd "$(dirname "$0")" && pwd)
lib="$here/../lib/{triplet}"
exec "$lib/{loader}" --library-path "$lib" --argv0 "$here/trixie-python" "$here/python3.13" "$@"
"""


def trixie_python() -> Path:
    """Path of the interpreter, fetched first if need be. Raises PackageError."""
    root = unpack("python", PACKAGES, "trixie", with_dependencies=True)
    wrapper = root / "usr/bin/trixie-python"
    if not wrapper.exists():
        loaders = sorted((root / "usr/lib").glob("*/ld-linux*.so.*"))
        if not loaders:
            raise PackageError(f"no ld-linux in {root}/usr/lib: libc6 was not unpacked")
        wrapper.write_text(WRAPPER.format(triplet=loaders[0].parent.name, loader=loaders[0].name))
        wrapper.chmod(0o755)
    return wrapper


if __name__ == "__main__":
    try:
        print(trixie_python())
    except PackageError as error:
        sys.exit(f"trixie_python: {error}")

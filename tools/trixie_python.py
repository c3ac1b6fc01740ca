"""Debian trixie's Python on any Debian: `python3 -m tools.trixie_python` prints the path of a runnable interpreter.

Trixie is what the boards of today run; the developer's machine may be older. The interpreter, its standard library
and its libc are unpacked in the user's cache and run through their own loader: 24 MB of downloads, 54 MB on disk, and
as much again for the packages of the tests.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from lmkd_py.board.debs import PackageError, run, unpack

PACKAGES = ("python3.13-minimal", "libpython3.13-stdlib")
# What the payload's own tests import, at the versions of pyproject.toml.
FOR_TESTS = ("pytest", "hypothesis", "protobuf", "grpcio-tools")

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


def packages_for_tests(python: Path) -> Path:
    """Directory with FOR_TESTS for that interpreter, to be its PYTHONPATH. Raises PackageError."""
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())["project"]
    named = [line for extra in project["optional-dependencies"].values() for line in extra]
    wanted = [line for line in named if re.split(r"[^\w-]", line)[0] in FOR_TESTS]
    place = python.parent.parent / "test-packages"
    done = place / ".installed"
    if not (done.is_file() and done.read_text() == repr(wanted)):
        version = run(str(python), "-c", "import sys; print('%d.%d' % sys.version_info[:2])").strip()
        pip = (sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--upgrade")
        run(*pip, "--target", str(place), "--python-version", version, "--only-binary", ":all:", *wanted)
        done.write_text(repr(wanted))
    return place


if __name__ == "__main__":
    try:
        print(trixie_python())
    except PackageError as error:
        sys.exit(f"trixie_python: {error}")

"""lmkctl: the only room that speaks to people, prints and exits."""

from __future__ import annotations

import sys

_NEEDED = ("typer", "click", "rich", "google")


def main() -> None:
    """Entry point of `lmkctl`; says in one line what to install where the host packages are missing."""
    try:
        from .app import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _NEEDED:
            raise
        print(
            f"lmkctl: found no Python package {missing!r}; lmkctl needs the host packages: "
            "pip install 'lmkd_py[host]' or run make venv",
            file=sys.stderr,
        )
        sys.exit(1)
    sys.exit(run())

"""How the board starts its small programs: this interpreter, isolated, without site-packages."""

from __future__ import annotations

import os
import sys

# The directory that holds the package lmkd_py: an isolated interpreter has neither it nor the cwd on its path.
PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def bare_program(module: str, *arguments: str) -> list[str]:
    """Command line that runs main() of a standard-library-only module of ours; arguments are sys.argv[1:]."""
    code = f"import sys; sys.path.insert(0, {PACKAGE_ROOT!r}); from {module} import main; main()"
    return [sys.executable, "-I", "-S", "-B", "-c", code, *arguments]

"""Who imports whom in this repository, read from the syntax tree: nothing is executed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support import REPO_ROOT


class Import(NamedTuple):
    """One imported name, absolute: `lmkd_py.core.config.Config` for `from .config import Config` in core."""

    where: str  # file:line
    name: str


def sources(*folders: str) -> list[Path]:
    """Every Python file below the folders, generated protobuf code left out."""
    found = (path for folder in folders for path in sorted((REPO_ROOT / folder).rglob("*.py")))
    return [path for path in found if not path.name.endswith("_pb2.py")]


def module_of(path: Path) -> str:
    """Dotted name of a file of this repository."""
    parts = path.relative_to(REPO_ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[Import]:
    """All imports of one file, also those inside functions."""
    place = path.relative_to(REPO_ROOT)
    for line, name in imported_names(path.read_text(), place.parts[:-1], str(place)):
        yield Import(f"{place}:{line}", name)


def imported_names(source: str, package: Sequence[str], place: str = "") -> Iterator[tuple[int, str]]:
    """(line, absolute name) of all imports in `source`, a module of `package`. Raises SyntaxError at `place`."""
    for node in ast.walk(ast.parse(source, place)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            for alias in node.names:
                yield node.lineno, ".".join((*base, *((node.module,) if node.module else ()), alias.name))

"""No module needs itself in the end: not while it loads, not by an import in a function, not for its types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.imports import imports, module_of, sources

Graph = Mapping[str, set[str]]


def graph() -> dict[str, set[str]]:
    """Which modules of lmkd_py each of them imports, wherever the import stands."""
    files = {module_of(path): path for path in sources("lmkd_py")}
    return {module: set(_imported(module, path, files)) for module, path in files.items()}


def _imported(module: str, path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    for found in imports(path):
        name = found.name
        while name and name not in files:  # a name in a module; else a package of somebody else
            name = name.rpartition(".")[0]
        if name and name != module:
            yield name
        # To load it loads the packages it lies in; its own are being loaded, or it could not ask.
        package = name.rpartition(".")[0]
        while package:
            if not module.startswith(f"{package}.") and package != module:
                yield package
            package = package.rpartition(".")[0]


def circles(of: Graph) -> list[list[str]]:
    """Groups of nodes that all lead to each other, each sorted."""
    reached = {node: _reached(node, of) for node in of}
    groups = {tuple(sorted(other for other in reached[node] if node in reached[other])) for node in of}
    return [list(group) for group in sorted(groups) if group]


def _reached(start: str, of: Graph) -> set[str]:
    found: set[str] = set()
    waiting = [start]
    while waiting:
        fresh = of[waiting.pop()] - found
        found |= fresh
        waiting += fresh
    return found


def test_a_circle_is_found_with_all_that_are_in_it_and_nobody_else() -> None:
    of = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set(), "e": {"e"}}
    assert circles(of) == [["b", "c"], ["e"]]


def test_imports_in_functions_and_for_types_are_seen() -> None:
    of = graph()
    assert "lmkd_py.daemon.selftest.__main__" in of["lmkd_py.daemon.commands"]
    assert "lmkd_py.daemon.steward.filing.journal" in of["lmkd_py.daemon.steward.killers.succession"]


def test_no_module_needs_itself() -> None:
    of = graph()
    told = [
        "\n".join(f"{each} -> {', '.join(sorted(of[each] & set(circle)))}" for each in circle) for circle in circles(of)
    ]
    assert not told, "import circles:\n" + "\n\n".join(told)

"""What lies where: the top level of the design, short files, no path of one machine, no module that nobody uses."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest

from tests.imports import imports, module_of, sources
from tests.support import REPO_ROOT

TOP_LEVEL = {
    *("lmkd_py", "proto", "device", "docs", "tools", "tests", ".ci"),
    *(
        "README.md",
        "CONTRIBUTING.md",
        "CHANGELOG.md",
        "LICENSE",
        "pyproject.toml",
        "MANIFEST.in",
        "Makefile",
        ".gitignore",
    ),
}
MAX_LINES = 300

# Someone's home, and this checkout itself: paths that work on one machine only.
PRIVATE_PATHS = re.compile(r"/home/[a-z][\w-]*/|/Users/[A-Za-z][\w-]*/|/root/\.?\w|" + re.escape(f"{REPO_ROOT}/"))

# Modules that are started rather than imported; keep it short, and give the starter's name.
STARTED = {
    "lmkd_py.cli",  # pyproject.toml: lmkctl
    "lmkd_py.kernel.sensing.perf",  # counts allocations for the tests; it lies with the system calls it is made of
}


def committed() -> list[Path]:
    """Files under version control or about to be; without git, all that .gitignore spares."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        patterns = [".git", *(line.rstrip("/") for line in (REPO_ROOT / ".gitignore").read_text().split())]
        found = (path for path in REPO_ROOT.rglob("*") if path.is_file())
        return [path for path in found if not ignored(path.relative_to(REPO_ROOT), patterns)]
    paths = (REPO_ROOT / name for name in done.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def ignored(path: Path, patterns: list[str]) -> bool:
    """Whether any part of the path matches; enough of .gitignore's rules for ours."""
    return any(fnmatch.fnmatch(part, pattern) for part in path.parts for pattern in patterns)


def text_of(path: Path) -> str:
    """Contents of a text file; empty for a binary one."""
    raw = path.read_bytes()
    return "" if b"\0" in raw else raw.decode(errors="replace")


def test_the_top_level_holds_what_the_design_lists_and_nothing_else() -> None:
    found = {path.relative_to(REPO_ROOT).parts[0] for path in committed()}
    assert found <= TOP_LEVEL
    wanted = {name for name in TOP_LEVEL if name != "device"}  # git keeps no empty folder
    assert wanted <= found


def test_a_file_tells_one_story() -> None:
    long = {
        str(path.relative_to(REPO_ROOT)): count
        for path in committed()
        if path.suffix in (".py", ".c", ".h", ".sh")
        and not path.name.endswith("_pb2.py")
        and (count := text_of(path).count("\n")) > MAX_LINES
    }
    assert not long, f"more than {MAX_LINES} lines"


def test_no_path_of_one_machine_is_committed() -> None:
    for path in committed():
        if path != Path(__file__) and "data" not in path.parts:  # captured trees tell where they were captured
            found = PRIVATE_PATHS.search(text_of(path))
            assert not found, f"{path.relative_to(REPO_ROOT)}: {found and found.group()}"


def test_the_licence_is_apache_2() -> None:
    text = (REPO_ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    for room in ("bpf", "module"):  # the kernel refuses to load them under any other licence
        if any(path.is_relative_to(REPO_ROOT / "device" / room) for path in committed()):
            assert "GNU GENERAL PUBLIC LICENSE" in (REPO_ROOT / "device" / room / "LICENSE").read_text()


def test_every_module_is_used_by_something_that_is_shipped_or_by_a_tool() -> None:
    used = {found.name for path in sources("lmkd_py", "tools") for found in imports(path)}
    used |= {name.rpartition(".")[0] for name in used}  # from module import name
    started = STARTED | set(re.findall(r'"(lmkd_py[\w.]+)"', " ".join(text_of(path) for path in sources("lmkd_py"))))
    for path in sources("lmkd_py"):
        module = module_of(path)
        if path.stem not in ("__init__", "__main__") and module not in used | started:
            pytest.fail(f"{module} is imported by nothing: use it or remove it")

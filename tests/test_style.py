"""Style and types are tests like any other: ruff, mypy strict, and the payload's Python 3.9."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import REPO_ROOT

CODE = ("lmkd_py", "tools", "tests")
PAYLOAD = tuple(f"lmkd_py/{room}" for room in ("core", "kernel", "wire", "daemon"))

CHECKS = {
    "ruff check": ("ruff", "check", "--no-cache", *CODE),
    "ruff format": ("ruff", "format", "--no-cache", "--diff", *CODE),
    "mypy strict": ("mypy", *CODE),
    # Boards and phones run older Pythons than the developer. Annotations are never evaluated in the payload.
    "vermin 3.9": ("vermin", "--target=3.9-", "--violations", "--no-tips", *PAYLOAD),
}


@pytest.mark.parametrize("check", CHECKS)
def test_the_code_passes(check: str) -> None:
    program, *arguments = CHECKS[check]
    command = [str(Path(sys.executable).parent / program), *arguments]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{check}\n{done.stdout[-6000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize("room", PAYLOAD)
def test_annotations_of_the_payload_are_never_evaluated(room: str) -> None:
    for path in (REPO_ROOT / room).rglob("*.py"):
        body = path.read_text()
        if "import" in body or "def " in body:
            assert "from __future__ import annotations" in body, f"{path.relative_to(REPO_ROOT)}: Python 3.9"

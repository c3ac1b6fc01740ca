"""What is shipped works without what is not: the daemon without any package, each program without the other's needs."""

from __future__ import annotations

import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from tests.support import REPO_ROOT

PAYLOAD = ("core", "kernel", "wire", "daemon")


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(word) for word in command], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_payload_alone_is_the_whole_daemon(tmp_path: Path) -> None:
    package = tmp_path / "lmkd_py"
    package.mkdir()
    shutil.copy(REPO_ROOT / "lmkd_py/__init__.py", package)
    for room in PAYLOAD:
        shutil.copytree(REPO_ROOT / "lmkd_py" / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lmkd_py.daemon.__main__ import main; main()"
    bare = (sys.executable, "-I", "-S", "-c", start, tmp_path)
    done = run(*bare, "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: lmkd-py")
    done = run(*bare, "status", "--root", tmp_path, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def bare_install(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """bin directory of a virtual environment with `pip install .` and no extras."""
    place = tmp_path_factory.mktemp("bare")
    venv.create(place, with_pip=True)
    source = place / "source"  # pip builds in the source tree; ours stays clean
    shutil.copytree(REPO_ROOT / "lmkd_py", source / "lmkd_py", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPO_ROOT / name, source)
    done = run(place / "bin/python", "-m", "pip", "install", "-q", source, cwd=place)
    assert done.returncode == 0, done.stderr
    return place / "bin"


@pytest.mark.all_suite
def test_the_installed_daemon_needs_no_package(bare_install: Path, tmp_path: Path) -> None:
    done = run(bare_install / "lmkd-py", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("usage: lmkd-py")
    listed = run(bare_install / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path).stdout
    assert {line.split("==")[0].replace("_", "-") for line in listed.splitlines()} <= {"lmkd-py", "pip", "setuptools"}


@pytest.mark.all_suite
def test_lmkctl_without_its_packages_says_so_in_one_line(bare_install: Path, tmp_path: Path) -> None:
    done = run(bare_install / "lmkctl", "demo", cwd=tmp_path)
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert "lmkd_py[host]" in done.stderr

"""What is shipped works without what is not: the payload alone, the daemon without any package; wheel and source
distribution hold all that a user and the licences need, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.support import REPO_ROOT

BPF = sorted(path.name for path in (REPO_ROOT / "device/bpf").iterdir() if path.is_file())
PAYLOAD = ("core", "kernel", "wire", "daemon")
PACKAGE = sorted(
    path.relative_to(REPO_ROOT).as_posix()
    for pattern in ("*.py", "*.o", "*.sh", "*.config", "*.pyi")
    for path in (REPO_ROOT / "lmkd_py").rglob(pattern)
)
BUILD = "import sys; from setuptools import build_meta as b; print(getattr(b, 'build_' + sys.argv[1])(sys.argv[2]))"


def run(*words: object, cwd: Path | None = None) -> str:
    done = subprocess.run([str(word) for word in words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_payload_alone_is_the_whole_daemon(tmp_path: Path) -> None:
    package = tmp_path / "lmkd_py"
    package.mkdir()
    shutil.copy(REPO_ROOT / "lmkd_py/__init__.py", package)
    for room in PAYLOAD:
        shutil.copytree(REPO_ROOT / "lmkd_py" / room, package / room, ignore=shutil.ignore_patterns("__pycache__"))
    start = "import sys; sys.path.insert(0, sys.argv.pop(1)); from lmkd_py.daemon.__main__ import main; main()"
    bare = (sys.executable, "-I", "-S", "-c", start, tmp_path)
    assert run(*bare, "--help", cwd=tmp_path).startswith("usage: lmkd-py")
    done = subprocess.run([*bare, "status", "--root", tmp_path], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the build backend that pyproject.toml names, in a fresh environment."""
    place = tmp_path_factory.mktemp("tools")
    venv.create(place, with_pip=True)
    run(place / "bin/pip", "install", "-q", "setuptools>=77")
    return place / "bin/python"


@pytest.fixture(scope="module")
def sdist(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a checkout as git has it: what lies about in this one is not in the way."""
    checkout, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("sdist")
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=REPO_ROOT)
    for name in filter(None, listed.split("\0")):
        if (REPO_ROOT / name).is_file():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPO_ROOT / name, checkout / name)
    name = run(tools, "-c", BUILD, "sdist", out, cwd=checkout).splitlines()[-1]
    return out / name


@pytest.fixture(scope="module")
def wheel(tools: Path, sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from the source distribution: it has to be enough for it."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(source, filter="data")
    (top,) = source.iterdir()
    return out / run(tools, "-c", BUILD, "wheel", out, cwd=top).splitlines()[-1]


@pytest.mark.all_suite
def test_the_source_distribution_has_the_sources_and_no_tests(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"device/bpf/{name}" for name in BPF} <= names
    assert {"LICENSE", "pyproject.toml", "README.md", *PACKAGE} <= names
    assert {path for path in names if path.startswith("tests")} == set()
    assert {path.partition("/")[0] for path in names} - {""} <= {
        "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md", "CHANGELOG.md", "pyproject.toml", "setup.cfg",
        "device", "proto", "lmkd_py", "lmkd_py.egg-info",
    }  # fmt: skip


@pytest.mark.all_suite
def test_the_wheel_has_the_gpl_and_the_source_of_its_bpf_objects_and_no_tests(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (gpl,) = (name for name in names if name.endswith(".dist-info/licenses/device/bpf/LICENSE"))
        assert b"GNU GENERAL PUBLIC LICENSE" in archive.read(gpl)
        for name in BPF:
            (found,) = (path for path in names if path.endswith(f".data/data/share/lmkd_py/bpf/{name}"))
            assert archive.read(found) == (REPO_ROOT / "device/bpf" / name).read_bytes()
    assert {name for name in names if name.startswith("lmkd_py/")} == set(PACKAGE)
    rest = {name.partition("/")[0] for name in names} - {"lmkd_py"}
    assert all(name.endswith((".dist-info", ".data")) for name in rest), rest


@pytest.mark.all_suite
def test_the_daemon_of_the_wheel_runs_without_any_other_package(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=True)
    run(tmp_path / "bare/bin/pip", "install", "-q", "--no-index", "--no-deps", wheel)
    assert "usage: lmkd-py" in run(tmp_path / "bare/bin/lmkd-py", "check", "--help", cwd=tmp_path)
    done = subprocess.run([tmp_path / "bare/bin/lmkctl", "--help"], capture_output=True, text=True)
    assert done.returncode == 1
    assert "pip install 'lmkd_py[host]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    listed = run(tmp_path / "bare/bin/pip", "list", "--format=freeze", cwd=tmp_path)
    assert {line.split("==")[0].replace("_", "-") for line in listed.splitlines()} <= {"lmkd-py", "pip", "setuptools"}


@pytest.mark.all_suite
def test_lmkctl_of_the_wheel_runs_with_the_host_packages(wheel: Path, tmp_path: Path) -> None:
    run(sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-deps", "--target", tmp_path, wheel)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lmkd_py; from lmkd_py.cli import main; main()"
    said = run(sys.executable, "-P", "-c", f"{code}", "--help", cwd=tmp_path)
    assert "install" in said
    # The payload it would put onto a device is whole there.
    look = "from lmkd_py.host.payload import payload; print(len(payload().files))"
    wanted = run(sys.executable, "-c", look, cwd=REPO_ROOT)
    assert (
        run(sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {look}", cwd=tmp_path)
        == wanted
    )

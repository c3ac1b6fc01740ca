"""The endpoint away from home: as an ordinary user, on an old Python, inside a guest, without the rest of us."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.board.adbd_tools import connect, lets_us_in
from tests.support import IS_ROOT, REPO_ROOT, require

ADBD = REPO_ROOT / "lmkd_py/board/adbd"
NOBODY = 65534


@pytest.fixture
def alone() -> Iterator[Path]:
    """The endpoint's package and nothing else of ours, where everybody can read it."""
    place = Path(tempfile.mkdtemp(prefix="lmkd-adbd-"))
    place.chmod(0o777)
    package = place / "lmkd_py/board"
    package.mkdir(parents=True)
    for folder in (package.parent, package):
        (folder / "__init__.py").touch()
    shutil.copytree(ADBD, package / "adbd", ignore=shutil.ignore_patterns("__pycache__"))
    yield place
    shutil.rmtree(place)


@contextmanager
def endpoint(python: str, place: Path, *words: str, user: int | None = None) -> Iterator[str]:
    process = subprocess.Popen(
        [python, "-s", "-m", "lmkd_py.board.adbd", "--end-with-stdin", *lets_us_in(place), *words],
        cwd=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        user=user,
        group=user,
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield process.stdout.readline().split()[1]
        finally:
            process.stdin.close()
            assert process.wait(30) == 0


def test_an_ordinary_user_gets_the_same_device(alone: Path) -> None:
    require(IS_ROOT and os.path.exists("/usr/bin/python3"), "needs root, to become somebody else, and /usr/bin/python3")
    with endpoint("/usr/bin/python3", alone, "--root", str(alone / "dev"), "--root-kind", "magisk", user=NOBODY) as at:
        client = connect(at)
        assert client.shell("id -u; su -c 'id -u; touch /data/adb/made; ls /data/adb'") == "2000\n0\nmade\n"
        (alone / "file").write_bytes(b"x" * 100_000)
        client.push(str(alone / "file"), "/data/local/tmp/file")
        assert client.shell("wc -c </data/local/tmp/file") == "100000\n"
        client.close()


def test_no_import_of_it_leads_to_the_rest_of_us_or_to_packages(alone: Path) -> None:
    code = "import lmkd_py.board.adbd.program, sys; print([n for n in sys.modules if n.startswith('lmkd_py')])"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {str(alone)!r}); {code}"])
    assert done.returncode == 0


def test_inside_a_guest_this_machine_is_the_device(alone: Path) -> None:
    require(IS_ROOT, "the endpoint of a guest runs as root")
    with endpoint(sys.executable, alone, "--root", "/", "--bare", "--root-kind", "adbd") as address:
        client = connect(address)
        assert client.shell("pwd; id -u; exit 3") == "/\n0\n"
        (alone / "file").write_bytes(b"guest")
        client.push(str(alone / "file"), f"{alone}/arrived")
        assert (alone / "arrived").read_bytes() == b"guest"
        client.close()


def test_the_endpoint_keeps_to_python_3_9(repo_root: Path) -> None:
    vermin = Path(sys.executable).with_name("vermin")
    words = (str(vermin), "--target=3.9-", "--violations", "--no-tips", str(ADBD))
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout

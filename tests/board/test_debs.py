"""Debian packages for boards, from a repository on this disk: newest first, an older one where that has gone."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board import debs
from tests.support import require

Add = Callable[..., Path]


@pytest.fixture
def add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Add:
    """Call it with a name and a version to put a package into the repository; the path of its .deb."""
    require(shutil.which("dpkg-deb") and shutil.which("apt-get"), "Debian's apt and dpkg are needed here")
    place = tmp_path / "mirror"
    place.mkdir()
    listing = place / "Packages"
    listing.write_text("")
    source = f"Types: deb\nURIs: file://{place}\nSuites: ./\nTrusted: yes\n"
    monkeypatch.setattr(debs, "sources", lambda suite: source)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def package(name: str, version: str, depends: str = "") -> Path:
        tree = tmp_path / f"{name}-{version}"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "usr").mkdir()
        (tree / "usr/version").write_text(version)
        control = f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: nobody\nDescription: none\n"
        control += f"Depends: {depends}\n" if depends else ""
        (tree / "DEBIAN/control").write_text(control)
        deb = place / f"{name}_{version}.deb"
        subprocess.run(["dpkg-deb", "--build", str(tree), str(deb)], check=True, stdout=subprocess.DEVNULL)
        data = deb.read_bytes()
        where = f"Filename: ./{deb.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n\n"
        with listing.open("a") as stream:
            stream.write(control + where)
        return deb

    return package


def test_the_newest_version_is_taken_and_recorded_with_its_hash(add: Add) -> None:
    add("tool", "1.0")
    newest = add("tool", "2.0")
    said: list[str] = []
    root = debs.unpack("one", ("tool",), "any", say=said.append)
    assert (root / "usr/version").read_text() == "2.0"
    digest = hashlib.sha256(newest.read_bytes()).hexdigest()
    assert (root / debs.DONE).read_text().splitlines() == ["tool", f"tool 2.0 {digest}"]
    assert debs.versions(root) == {"tool": "2.0"}
    assert not any("warning" in line for line in said)


def test_a_version_that_has_vanished_is_replaced_by_an_older_one_with_one_line(add: Add) -> None:
    add("tool", "1.0")
    add("other", "3.0")
    add("tool", "2.0").unlink()
    said: list[str] = []
    root = debs.unpack("one", ("tool", "other"), "any", say=said.append)
    warnings = [line for line in said if "warning" in line]
    assert warnings == ["warning: tool=2.0 has vanished from the mirror; tool=1.0 is taken in its place"]
    assert debs.versions(root) == {"tool": "1.0", "other": "3.0"}


def test_a_kernel_that_has_vanished_is_replaced_by_an_older_one_of_its_series(add: Add) -> None:
    for name in ("linux-image-6.1.0-9-cloud", "linux-image-6.1.0-10-cloud", "linux-image-5.10.0-3-cloud"):
        add(name, "1")
    add("linux-image-6.1.0-11-cloud", "1").unlink()
    add("linux-image-cloud", "1", "linux-image-6.1.0-11-cloud")
    said: list[str] = []
    root = debs.unpack("kernel", ("meta:linux-image-cloud",), "any", say=said.append)
    assert debs.versions(root) == {"linux-image-6.1.0-10-cloud": "1"}
    assert [line for line in said if "warning" in line] == [
        "warning: linux-image-6.1.0-11-cloud=1 has vanished from the mirror;"
        " linux-image-6.1.0-10-cloud=1 is taken in its place"
    ]


def test_what_no_mirror_has_is_named(add: Add) -> None:
    add("tool", "1.0").unlink()
    with pytest.raises(debs.PackageError, match=r"tool=1\.0"):
        debs.unpack("one", ("tool",), "any", say=lambda line: None)
    with pytest.raises(debs.PackageError, match="nothing: no such package on file:"):
        debs.unpack("two", ("nothing",), "any", say=lambda line: None)


def test_what_is_in_the_cache_is_not_fetched_again(add: Add) -> None:
    add("tool", "1.0")
    debs.unpack("one", ("tool",), "any", say=lambda line: None)
    add("tool", "2.0")
    said: list[str] = []
    assert debs.versions(debs.unpack("one", ("tool",), "any", say=said.append)) == {"tool": "1.0"}
    assert said == []

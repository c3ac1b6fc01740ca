"""make lab-kernels: found again when it is there, one line when something is missing, nothing half built."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from lmkd_py.board.debs import PackageError
from lmkd_py.board.qemu import image, lab
from tools import lab_kernel


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "lmkd_py"


def built(version: str) -> Path:
    place = lab.place(version)
    place.mkdir(parents=True)
    (place / lab.IMAGE).write_bytes(b"kernel")
    return place / lab.IMAGE


def test_a_kernel_that_is_there_is_found_and_nothing_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # whoever wanted to run anything would fail
    path = built("6.1.1-1")
    assert lab_kernel.main() == path
    assert image.kernel(image.LAB)[0] == path


def test_another_configuration_is_another_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built("6.1.1-1")
    changed = tmp_path / "lab.config"
    changed.write_text(lab.CONFIG.read_text() + "CONFIG_KALLSYMS=y\n")
    monkeypatch.setattr(lab, "CONFIG", changed)
    with pytest.raises(PackageError, match=r"run: make lab-kernels$"):
        lab.image()


def test_what_is_missing_on_the_machine_is_one_line(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(PackageError) as caught:
        lab_kernel.main()
    assert str(caught.value).endswith("run: sudo apt-get install gcc libc6-dev make")
    assert "\n" not in str(caught.value)
    assert not cache.exists()


def test_an_option_that_the_kernel_does_not_take_ends_the_build(tmp_path: Path) -> None:
    taken = tmp_path / ".config"
    taken.write_text(lab.CONFIG.read_text())
    lab_kernel.refuse_lost_options(taken)
    taken.write_text(taken.read_text().replace("CONFIG_FAILSLAB=y", "# CONFIG_FAILSLAB is not set"))
    with pytest.raises(PackageError, match=r"does not take CONFIG_FAILSLAB=y$"):
        lab_kernel.refuse_lost_options(taken)


def test_of_the_source_only_what_is_compiled_and_all_menus_are_unpacked(tmp_path: Path) -> None:
    names = (
        *("linux/mm/slub.c", "linux/arch/arm64/Makefile", "linux/arch/arm64/mm/fault.c", "linux/arch/Kconfig"),
        *("linux/arch/x86/mm/fault.c", "linux/arch/x86/Kconfig", "linux/drivers/gpu/drm/drm.c"),
        *("linux/drivers/gpu/drm/Kconfig", "linux/drivers/gpu/drm/Makefile", "linux/Documentation/mm/slub.rst"),
    )
    archive = tmp_path / "source.tar"
    with tarfile.open(archive, "w") as tar:
        for name in names:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    lab_kernel.extract(archive, tmp_path)
    found = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("linux/**/*") if path.is_file()}
    left_out = {"linux/arch/x86/mm/fault.c", "linux/drivers/gpu/drm/drm.c", "linux/Documentation/mm/slub.rst"}
    assert found == set(names) - left_out

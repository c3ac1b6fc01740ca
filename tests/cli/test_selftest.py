"""lmkctl selftest: on this machine, and over ADB on a virtual device."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.board.virtual_device import VirtualDevice
from lmkd_py.host.adb.keys import public_keys
from tests.cli.conftest import Lmkctl, Said

pytestmark = [pytest.mark.pressure, pytest.mark.slow, pytest.mark.all_suite]


@pytest.fixture
def ctl(lmkctl: Lmkctl, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lmkctl:
    """lmkctl with a key of its own and no adb server."""
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")

    def call(*words: object) -> Said:
        return lmkctl("--key", tmp_path / "adbkey", *words)

    return call


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """HOST:PORT of a virtual device."""
    with (
        Sandbox(64) as board,
        VirtualDevice(str(tmp_path / "device"), board, keys=public_keys(tmp_path / "adbkey")) as device,
    ):
        yield device.address


def test_without_a_device_chosen_it_tests_this_machine(ctl: Lmkctl) -> None:
    said = ctl("selftest", "--seconds", 6, "--json")
    found = json.loads(said.out)
    assert (said.code, found["holds"], found["wrong"]) == (0, True, [])


def test_a_device_shows_the_same_over_adb_and_the_negative_control_fails_there(ctl: Lmkctl, address: str) -> None:
    assert "lmkctl install" in ctl("-s", address, "selftest").err
    assert ctl("-s", address, "install").code == 0
    said = ctl("-s", address, "selftest", "--seconds", 8)
    assert said.code == 0, said.out + said.err
    assert "layer 0 active     the kill path allocates nothing" in said.out
    assert said.out.splitlines()[-1].endswith("hold here")
    control = ctl("-s", address, "--json", "selftest", "--seconds", 4, "--negative-control")
    answer = json.loads(control.out.splitlines()[0])
    assert (control.code, answer["rc"], answer["selftest"]["holds"]) == (1, 1, False)
    assert any("layer 0 does not hold" in sentence for sentence in answer["selftest"]["wrong"])

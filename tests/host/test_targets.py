"""A device is chosen exactly as adb does it, and never guessed."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkd_py.host.adb.server import Listed
from lmkd_py.host.targets import Choice, ChoiceError, Target, choose, endpoint, read_targets

USB = Listed("R5CT", "device")
NET = Listed("10.0.0.7:5555", "device")
SHY = Listed("Q9", "unauthorized")


def serials(choice: Choice, *listed: Listed, local: tuple[str, ...] = ()) -> list[str]:
    return [target.serial for target in choose(choice, list(listed), local)]


@pytest.fixture(autouse=True)
def _no_serial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)


def test_the_only_device_needs_no_name() -> None:
    assert serials(Choice(), USB) == ["R5CT"]
    assert serials(Choice(), local=("127.0.0.1:5600",)) == ["127.0.0.1:5600"]


def test_of_two_none_is_taken_and_both_are_named() -> None:
    with pytest.raises(ChoiceError, match="more than one") as error:
        serials(Choice(), USB, SHY)
    assert error.value.code == 4
    assert "R5CT, Q9 (unauthorized)" in str(error.value)


def test_a_serial_goes_before_the_environment_and_that_before_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDROID_SERIAL", "Q9")
    assert serials(Choice(), USB, SHY) == ["Q9"]
    assert serials(Choice(serial="R5CT"), USB, SHY) == ["R5CT"]
    assert serials(Choice(everything=True), USB, SHY) == ["R5CT", "Q9"]


def test_usb_and_tcp_are_told_apart() -> None:
    assert serials(Choice(usb=True), USB, NET) == ["R5CT"]
    assert serials(Choice(tcp=True), USB, NET) == ["10.0.0.7:5555"]


def test_an_address_need_not_name_its_port() -> None:
    assert serials(Choice(serial="10.0.0.7"), USB, NET) == ["10.0.0.7:5555"]


def test_an_address_nobody_listed_is_reached_directly_but_for_the_server_backend() -> None:
    assert choose(Choice(serial="10.0.0.9:5600"), [USB], ()) == [Target("10.0.0.9:5600", False)]
    with pytest.raises(ChoiceError, match="no device"):
        serials(Choice(serial="10.0.0.9:5600", backend="server"), USB)


@pytest.mark.parametrize("serial", ["R6", "host:99999", "a b:1", "h:0", ":5555", "x;y:1", "$(id):5", "../x:5", "h\n:5"])
def test_what_is_neither_known_nor_an_address_is_refused(serial: str) -> None:
    with pytest.raises(ChoiceError):
        serials(Choice(serial=serial), USB)


def test_no_device_at_all_says_what_to_do() -> None:
    with pytest.raises(ChoiceError, match="start-server"):
        choose(Choice(), None, ())
    with pytest.raises(ChoiceError, match="cable"):
        choose(Choice(), [], ())


def test_a_targets_file_has_serials_labels_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "targets"
    path.write_text("# rack 3\n10.0.0.1:5600 rack3 canary\n10.0.0.2:5600 rack3 # slow\n\n10.0.0.1:5600\nR5CT desk\n")
    assert read_targets(path, "") == ["10.0.0.1:5600", "10.0.0.2:5600", "R5CT"]
    assert serials(Choice(targets=path, label="rack3"), USB) == ["10.0.0.1:5600", "10.0.0.2:5600"]
    with pytest.raises(ChoiceError, match="label 'none'"):
        serials(Choice(targets=path, label="none"), USB)
    with pytest.raises(ChoiceError) as error:
        read_targets(tmp_path / "missing", "")
    assert error.value.code == 2


@pytest.mark.parametrize(
    ("serial", "place"),
    [("[::1]:5600", ("::1", 5600)), ("host.lan", ("host.lan", 5555)), ("localhost:5600", ("localhost", 5600)),
     ("R5CT", None), ("::1", None)],
)  # fmt: skip
def test_what_an_address_is(serial: str, place: tuple[str, int] | None) -> None:
    assert endpoint(serial) == place

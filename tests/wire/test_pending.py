"""A config on probation: its time is over by the clock that counts suspended time, and with its boot."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.wire import pending
from lmkd_py.wire.pending import Pending, boot_id, boottime_s, decode_pending, encode_pending, left_s, put_back, settle


def push(root: Path, left: float, boot: str | None = None, former: bytes | None = b"old") -> Pending:
    """A state root in which `new` waits for its confirmation."""
    (root / "config.bin").write_bytes(b"new")
    if former is not None:
        (root / "config.previous").write_bytes(former)
    waiting = Pending("nonce", boot_id() if boot is None else boot, boottime_s() + left, int(former is not None))
    (root / "config.pending").write_bytes(encode_pending(waiting))
    return waiting


def test_a_line_holds_it_all(tmp_path: Path) -> None:
    waiting = push(tmp_path, 30)
    found = pending.read_pending(str(tmp_path))
    assert found is not None
    assert found._replace(deadline_s=0.0) == waiting._replace(deadline_s=0.0)
    assert 0.0 < left_s(found) <= 30.1
    assert pending.read_pending(str(tmp_path / "..")) is None


def test_within_its_time_it_stays(tmp_path: Path) -> None:
    push(tmp_path, 3600)
    assert not settle(str(tmp_path))
    assert (tmp_path / "config.bin").read_bytes() == b"new"
    assert (tmp_path / "config.pending").exists()


@pytest.mark.parametrize(("left", "boot"), [(-0.1, None), (3600, "0c0ffee0-0000-4000-8000-000000000000"), (3600, "")])
def test_after_its_time_or_its_boot_the_former_one_is_back(tmp_path: Path, left: float, boot: str | None) -> None:
    push(tmp_path, left, boot)
    assert settle(str(tmp_path))
    assert (tmp_path / "config.bin").read_bytes() == b"old"
    assert not (tmp_path / "config.pending").exists()
    assert not settle(str(tmp_path))


def test_a_wall_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(tmp_path, 3600)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert not settle(str(tmp_path))


def test_where_there_was_no_config_there_is_none_again(tmp_path: Path) -> None:
    (tmp_path / "config.previous").write_bytes(b"of an older push")
    push(tmp_path, -1, former=None)
    assert settle(str(tmp_path))
    assert not (tmp_path / "config.bin").exists()


@pytest.mark.parametrize(
    "data", [b"", b"\0\0\0", b"one two", b'{"nonce": "x", "until": 9e9}', b"a b nan_ 1", b"\xff" * 99]
)
def test_a_damaged_one_is_over(tmp_path: Path, data: bytes) -> None:
    push(tmp_path, 3600)
    (tmp_path / "config.pending").write_bytes(data)
    assert settle(str(tmp_path))
    assert (tmp_path / "config.bin").read_bytes() == b"old"
    assert left_s(decode_pending(data)) == 0.0


def test_going_back_can_be_cut_off_anywhere_and_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = push(tmp_path, -1)

    class Cut(Exception):
        """The power."""

    def cut(path: str) -> None:
        raise Cut

    with monkeypatch.context() as patched:
        patched.setattr(pending, "sync_directory", cut)
        with pytest.raises(Cut):
            put_back(str(tmp_path), waiting)
    assert (tmp_path / "config.pending").exists()
    assert settle(str(tmp_path))
    assert (tmp_path / "config.bin").read_bytes() == b"old"


def test_going_back_needs_no_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    push(tmp_path, -1)

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr("os.write", full)
    assert settle(str(tmp_path))
    assert (tmp_path / "config.bin").read_bytes() == b"old"


def test_a_file_is_its_writers_alone_whatever_the_umask(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        (tmp_path / "x.new").write_bytes(b"left by somebody")
        pending.write(str(tmp_path / "x"), b"data")
    finally:
        os.umask(mask)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o600

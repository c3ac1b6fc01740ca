"""Files that a person names: bounded when read, whole or untouched when written."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

from lmkd_py.wire.local_files import open_regular, read_bounded, write_whole
from tests.support import IS_ROOT

LIMIT = 1000


def test_a_file_is_read_up_to_its_limit(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for size in (0, 1, LIMIT):
        path.write_bytes(bytes(size))
        assert read_bounded(str(path), LIMIT) == bytes(size)
    path.write_bytes(bytes(LIMIT + 1))
    with pytest.raises(OSError, match="longer than 1000 bytes"):
        read_bounded(str(path), LIMIT)


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("/dev/zero", errno.EFBIG),
        ("/proc/self/mem", errno.EIO),
        (".", errno.EISDIR),
        ("none", errno.ENOENT),
        ("loop", errno.ELOOP),
    ],
)
def test_what_cannot_be_read_is_an_error_with_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, code: int
) -> None:
    monkeypatch.chdir(tmp_path)
    os.symlink("loop", "loop")
    with pytest.raises(OSError, match=name) as refused:
        read_bounded(name, LIMIT)
    assert (refused.value.errno, refused.value.filename) == (code, name)


def test_a_fifo_is_read_if_somebody_writes_and_waited_for_a_little(tmp_path: Path) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    with pytest.raises(OSError, match=r"nothing to read for 0\.1 s"):
        read_bounded(str(path), LIMIT, 0.1)
    for data in (b"x" * LIMIT, b""):
        writer = threading.Thread(target=path.write_bytes, args=(data,))
        writer.start()
        assert read_bounded(str(path), LIMIT, 30.0) == data
        writer.join()
    assert read_bounded("/dev/null", LIMIT) == b""


def test_a_new_file_has_the_mode_of_the_umask_and_a_known_one_keeps_its_own(tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    mask = os.umask(0o027)
    try:
        write_whole(str(path), b"one")
    finally:
        os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o640
    path.chmod(0o604)
    if IS_ROOT:
        os.chown(path, 1234, 1234)
    before = path.stat()
    write_whole(str(path), b"two")
    assert path.read_bytes() == b"two"
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    write_whole(str(path), b"two", 0o644)
    assert path.stat().st_mode & 0o777 == 0o644
    assert after.st_ino != before.st_ino  # by rename: a reader of the old one has all of it


def test_links_are_followed_and_stay(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/link").symlink_to("target")
    (tmp_path / "link").symlink_to("deep/link")
    for data in (b"made", b"replaced"):
        write_whole(str(tmp_path / "link"), data)
        assert (tmp_path / "deep/target").read_bytes() == data
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "deep/link").is_symlink()
    assert sorted(os.listdir(tmp_path / "deep")) == ["link", "target"]


def test_what_is_no_regular_file_is_written_to_and_never_replaced(tmp_path: Path) -> None:
    for device in ("/dev/null", "/dev/full"):
        before = os.stat(device)
        if device == "/dev/full":
            with pytest.raises(OSError, match="No space left") as full:
                write_whole(device, b"data")
            assert full.value.filename == device
        else:
            write_whole(device, b"data")
        assert os.stat(device).st_rdev == before.st_rdev
        assert os.stat(device).st_ino == before.st_ino
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="nobody reads from it"):
        write_whole(str(fifo), b"data")
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    write_whole(str(fifo), b"data")
    assert os.read(reader, 10) == b"data"
    with pytest.raises(OSError, match="nobody read from it"):
        write_whole(str(fifo), bytes(1 << 20), patience_s=0.1)
    os.close(reader)
    with pytest.raises(OSError, match="Is a directory"):
        write_whole(str(tmp_path), b"data")
    assert fifo.is_fifo()


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_failure_leaves_the_former_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"former")

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(f"os.{fails}", full)
        with pytest.raises(OSError, match="No space left") as refused:
            write_whole(str(path), b"new")
    assert refused.value.filename == str(path)
    assert path.read_bytes() == b"former"
    assert os.listdir(tmp_path) == ["file"]


def test_only_a_regular_file_is_opened_as_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    for name in ("/dev/zero", str(tmp_path), str(tmp_path / "fifo")):
        with pytest.raises(OSError, match=r"not a regular file|Is a directory"):
            open_regular(name)
    (tmp_path / "file").touch()
    os.close(open_regular(str(tmp_path / "file")))

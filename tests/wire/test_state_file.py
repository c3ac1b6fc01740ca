"""A file of the state root is a small regular file that nobody else can have written; all else is refused in words."""

from __future__ import annotations

import errno
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.wire.state_file import read_state_file
from tests.support import IS_ROOT, require

NOBODY = 65534


def make(path: Path, kind: str) -> None:
    """Something that is no regular file, or leads to one."""
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a directory":
        path.mkdir()
    elif kind == "a symbolic link":
        target = path.with_name("target")
        target.write_bytes(b"secret")
        path.symlink_to(target)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    else:
        require(IS_ROOT, "makes a device node: needs root")
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5))  # /dev/zero never ends


@pytest.mark.parametrize("kind", ["a FIFO", "a directory", "a symbolic link", "a socket", "a device"])
def test_what_is_no_regular_file_is_named_and_keeps_nobody_waiting(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "file"
    make(path, kind)
    with pytest.raises(OSError, match=f"found {kind}, wanted a regular file") as caught:
        read_state_file(str(path), 100)
    assert caught.value.errno == (errno.ELOOP if kind == "a symbolic link" else errno.EINVAL)
    assert not [fd for fd in os.listdir("/proc/self/fd") if os.path.realpath(f"/proc/self/fd/{fd}") == str(path)]


@given(st.binary(max_size=300), st.integers(0, 300))
def test_a_file_is_read_whole_or_refused_for_its_size(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, most_bytes: int
) -> None:
    path = tmp_path_factory.mktemp("file") / "file"
    path.write_bytes(data)
    if len(data) <= most_bytes:
        assert read_state_file(str(path), most_bytes) == data
    else:
        with pytest.raises(OSError, match=f"found more than {most_bytes} bytes") as caught:
            read_state_file(str(path), most_bytes)
        assert caught.value.errno == errno.EFBIG


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o777])
def test_a_file_that_others_may_write_to_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    path.chmod(mode)
    with pytest.raises(OSError, match=rf"others may write to it \(mode {mode:04o}\); chmod go-w {path}"):
        read_state_file(str(path), 100)
    for harmless in (0o644, 0o755, 0o400):
        path.chmod(harmless)
        assert read_state_file(str(path), 100) == b"x"


@pytest.mark.root("gives a file to another user")
def test_a_file_of_another_user_is_refused_with_the_cure(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(OSError, match=f"found a file of user {NOBODY}, wanted root's; chown 0 {path}"):
        read_state_file(str(path), 100)


def test_no_file_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_state_file(str(tmp_path / "file"), 100)

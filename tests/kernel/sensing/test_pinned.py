"""A pinned file that comes in pieces, outgrows its buffer, or cannot be read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.kernel.sensing.pinned import PinnedFile
from tests.kernel.trees import X86, text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def test_a_kernel_file_that_comes_in_pieces_is_read_whole_on_demand() -> None:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "print(1, flush=True); import time; time.sleep(600)"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    name = f"/proc/{child.pid}/smaps"
    total = len(Path(name).read_bytes())
    assert PinnedFile(name, whole=1).read() == total
    file = PinnedFile(name)
    assert file.read() < total
    while file.more():
        pass
    assert file.end - 1 == total
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_file_that_outgrows_its_buffer_is_cut_and_not_overrun(path: Path) -> None:
    path.write_text("a 1\n" + "x" * 100 + "\n")
    file = PinnedFile(str(path))
    room = len(file.buf)
    path.write_text("a 1\n" + "x" * 100_000 + "\n")
    assert file.read() == room - 1
    assert len(file.buf) == room
    assert file.more() == 0
    path.write_text("a 2\n")
    assert file.read() == 4
    assert bytes(file.buf[: file.end]) == b"\na 2\n"
    file.close()
    file.close()
    assert file.read() == -9  # EBADF, not an exception
    assert file.end == 1


def test_a_file_that_cannot_be_opened_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        PinnedFile(str(tmp_path / "no-such-file"))
    with pytest.raises(OSError, match=r"read .*: Is a directory"):
        PinnedFile(str(tmp_path))
    assert text(X86, "proc/meminfo").startswith("MemTotal")

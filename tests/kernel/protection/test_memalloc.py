"""The PF_MEMALLOC window without the module: what is not there, not allowed or not ours is told, each with its words.

With the module it is tested on the board (tests/board/qemu/test_module.py).
"""

from __future__ import annotations

import ctypes
import errno
import os
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.kernel.probe import probe
from lmkd_py.kernel.protection import memalloc
from lmkd_py.kernel.protection.memalloc import MemallocWindow, open_window
from tests.support import REPO_ROOT, require

HEADER = REPO_ROOT / "device/module/lmkd_memalloc.h"
NR_IOCTL = {"x86_64": 16, "aarch64": 29}
ALLOW, ERRNO = 0x7FFF0000, 0x00050000


def answer_ioctls(answers: dict[int, int]) -> None:
    """From here on, and for good, ioctl() with one of these requests returns -errno (0: success), whatever its file."""
    libc = ctypes.CDLL(None, use_errno=True)
    load, equal, give = 0x20, 0x15, 0x06
    steps = [(load, 0, 0, 0), (equal, 0, 1 + 2 * len(answers), NR_IOCTL[os.uname().machine]), (load, 0, 0, 24)]
    for request, error in answers.items():
        steps += [(equal, 0, 1, request), (give, 0, 0, ERRNO | error)]
    steps += [(give, 0, 0, ALLOW)]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))

    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(Program(len(steps), code))) == 0, os.strerror(ctypes.get_errno())


def in_child(work: Callable[[], str]) -> str:
    """The result of `work` in a forked child."""
    receive, send = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.write(send, work().encode())
        except BaseException as error:
            os.write(send, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(send)
    os.waitpid(pid, 0)
    said = os.read(receive, 4096).decode()
    os.close(receive)
    return said


def opened() -> str:
    """ "opened", or the error of open_window() as text."""
    window = open_window()
    window.close()
    return "opened"


def test_without_the_module_there_is_no_window_and_no_feature(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memalloc, "DEVICE", str(tmp_path / "lmkd_memalloc"))
    with pytest.raises(FileNotFoundError):
        open_window()
    assert probe().memalloc_window == 0


@pytest.mark.parametrize("node", ["/dev/null", "/dev/zero"])
def test_a_node_of_another_driver_is_not_taken_for_ours(node: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memalloc, "DEVICE", node)
    before = set(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=rf"ioctl {node}: Inappropriate ioctl") as caught:
        open_window()
    assert caught.value.errno == errno.ENOTTY
    assert set(os.listdir("/proc/self/fd")) == before
    assert probe().memalloc_window == 0


def test_another_version_of_the_module_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require(os.uname().machine in NR_IOCTL, "knows the system call's number on x86-64 and arm64")
    monkeypatch.setattr(memalloc, "DEVICE", "/dev/null")

    def work() -> str:
        answer_ioctls({memalloc.GET_VERSION: 0})
        return opened()

    assert in_child(work) == "OSError: /dev/null: found version 0 of the module, wanted 1"


@pytest.mark.parametrize("failing", ["SET", "CLEAR"])
def test_a_window_that_is_not_granted_is_known_before_it_is_needed(
    failing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    require(os.uname().machine in NR_IOCTL, "knows the system call's number on x86-64 and arm64")
    monkeypatch.setattr(memalloc, "DEVICE", "/dev/null")
    monkeypatch.setattr(memalloc, "VERSION", 0)  # a filter can say 0 or fail

    def work() -> str:
        answers = {memalloc.GET_VERSION: 0, memalloc.SET: 0, memalloc.CLEAR: 0}
        answer_ioctls({**answers, getattr(memalloc, failing): errno.EPERM})
        return opened()

    assert in_child(work) == "PermissionError: [Errno 1] ioctl /dev/null: Operation not permitted"


def test_a_window_of_which_the_kernel_knows_nothing_is_never_open() -> None:
    window = MemallocWindow(os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC))
    assert window.begin() == -errno.ENOTTY
    assert not window.is_open
    assert window.end() == -errno.ENOTTY
    window.close()
    assert window.begin() == -errno.EBADF


def test_the_numbers_are_those_of_the_modules_header() -> None:
    text = HEADER.read_text()
    numbers = {name: int(magic, 16) << 8 | int(number) for name, magic, number in re.findall(
        r"#define LMKD_MEMALLOC_(\w+) _IO\((0x\w+), (\d+)\)", text
    )}  # fmt: skip
    assert numbers == {"GET_VERSION": memalloc.GET_VERSION, "SET": memalloc.SET, "CLEAR": memalloc.CLEAR}
    assert f"#define LMKD_MEMALLOC_VERSION {memalloc.VERSION}\n" in text

"""What is read of a process, with hostile names and with processes that go away."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.kernel.acting.process import (
    PF_KTHREAD,
    READ_FAILED,
    parse_stat,
    parse_uid,
    pin,
    read_adj,
    read_rss_pages,
    read_stat,
    read_uid,
)
from tests.kernel.trees import ARM_V1, TREES, suppress_named

TAIL = b"S 7 12 12 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 8642 1000 200 1\n"


@pytest.mark.parametrize("name", [b"sh", b"a) R 1 2 (b", b"x\ny", b") S 1 1", b"((", b"", b"\xff) Z 0"])
def test_no_command_name_can_shift_the_fields(name: bytes) -> None:
    stat = parse_stat(b"123 (" + name + b") " + TAIL, "stat")
    assert stat == (name, b"S", 7, 4194560, 8642)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_stat_or_a_named_error(text: bytes) -> None:
    with suppress_named("/proc/9/stat: line 1"):
        assert isinstance(parse_stat(text, "/proc/9/stat").start_ticks, int)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_status_or_a_named_error(text: bytes) -> None:
    with suppress_named("/proc/9/status"):
        assert parse_uid(text, "/proc/9/status") >= 0


def test_a_process_on_a_captured_board_is_read() -> None:
    root = str(TREES / ARM_V1)
    assert read_stat(1, root).comm == b"init"
    assert read_uid(1, root) == 0


def test_our_own_name_with_a_parenthesis_and_a_newline_is_no_trap() -> None:
    code = (
        "import ctypes, os\n"
        "ctypes.CDLL(None).prctl(15, b'x) Z 1\\n(y', 0, 0, 0)\n"
        "from lmkd_py.kernel.acting.process import read_stat, read_uid\n"
        "s = read_stat(os.getpid())\n"
        "print(s.ppid == os.getppid(), s.state.decode(), read_uid(os.getpid()) == os.getuid())"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "True R True\n"


def test_a_kernel_thread_is_known_by_its_flag() -> None:
    assert read_stat(2).flags & PF_KTHREAD  # kthreadd
    assert not read_stat(os.getpid()).flags & PF_KTHREAD


def test_a_thread_that_leads_nothing_cannot_be_pinned() -> None:
    program = (
        "import threading\n"
        "from lmkd_py.kernel.acting.process import pin\n"
        "done = threading.Event()\n"
        "thread = threading.Thread(target=done.wait)\n"
        "thread.start()\n"
        "try:\n    pin(thread.native_id)\nexcept OSError as refused:\n    print(refused.errno)\n"
        "done.set()"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert int(done.stdout) in (errno.EINVAL, errno.ENOENT)  # up to Linux 6.8, since


def test_a_pinned_process_can_be_read_until_it_is_gone() -> None:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "print(1, flush=True); import time; time.sleep(600)"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    pinned = pin(child.pid)
    buffer = bytearray(64)
    assert pinned.uid == os.getuid()
    assert pinned.start_ticks == read_stat(child.pid).start_ticks > 0
    assert read_rss_pages(pinned.statm_fd, buffer) > 100
    with open(f"/proc/{child.pid}/oom_score_adj", "w", encoding="ascii") as file:
        file.write("937")
    assert read_adj(pinned.adj_fd, buffer) == 937 != pinned.adj
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert read_rss_pages(pinned.statm_fd, buffer) == 0  # a zombie has no memory
    child.wait()
    assert read_rss_pages(pinned.statm_fd, buffer) == READ_FAILED - 3  # ESRCH
    assert read_adj(pinned.adj_fd, buffer) == READ_FAILED - 3
    for fd in (pinned.pidfd, pinned.statm_fd, pinned.adj_fd):
        os.close(fd)
    child.stdout.close()


def test_a_failure_is_below_every_size_and_every_adj() -> None:
    assert read_adj(-1, bytearray(16)) == READ_FAILED - 9  # EBADF
    assert read_rss_pages(-1, bytearray(64)) == READ_FAILED - 9
    assert READ_FAILED < -1000


@given(st.binary(max_size=64))
def test_any_bytes_in_a_pinned_file_are_a_value_or_a_failure(text: bytes) -> None:
    fd = os.memfd_create("fuzz")
    os.write(fd, text)
    rss = read_rss_pages(fd, bytearray(64))
    adj = read_adj(fd, bytearray(16))
    os.close(fd)
    assert rss >= 0 or rss <= READ_FAILED
    assert -1000 <= adj <= 1000 or adj <= READ_FAILED


def test_nothing_stays_open_of_a_process_that_is_gone() -> None:
    child = subprocess.Popen(["/bin/true"])
    child.wait()
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=str(child.pid)) as caught:
        pin(child.pid)
    assert caught.value.errno in (2, 3)
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_process_pinned_without_size_costs_one_descriptor() -> None:
    before = len(os.listdir("/proc/self/fd"))
    pinned = pin(os.getpid(), sized=0)
    assert (pinned.statm_fd, pinned.adj_fd) == (-1, -1)
    assert len(os.listdir("/proc/self/fd")) == before + 1
    os.close(pinned.pidfd)


def test_the_real_uid_is_taken_and_not_the_owner_of_the_directory() -> None:
    libc = ctypes.CDLL(None)
    child = os.fork()
    if child == 0:
        libc.prctl(4, 0, 0, 0, 0)  # PR_SET_DUMPABLE off: /proc/PID then belongs to root
        os._exit(0 if read_uid(os.getpid()) == os.getuid() else 1)
    assert os.waitpid(child, 0)[1] == 0

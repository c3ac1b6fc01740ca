"""Each thin call against the running kernel, and the tables of the other machines."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lmkd_py.kernel.acting import memory, syscalls
from lmkd_py.kernel.acting.libc import function, oserror
from lmkd_py.kernel.acting.numbers import NR, numbers_of
from lmkd_py.kernel.acting.poll import POLLIN, PollSet
from tests.support import IS_ROOT, require


@pytest.mark.parametrize("by_number", [False, True], ids=["interpreter's own", "by number"])
def test_a_signal_reaches_the_process_of_the_pidfd_and_nobody_after_its_death(
    by_number: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if by_number:
        monkeypatch.setattr(syscalls, "_send_signal", syscalls._send_by_number)
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"])
    pidfd = syscalls.pidfd_open(child.pid)
    assert syscalls.pidfd_send_signal(pidfd, 0) == 0
    polls = PollSet(1)
    polls.set(0, pidfd, POLLIN)
    assert polls.wait(0) == 0
    assert syscalls.pidfd_send_signal(pidfd, signal.SIGKILL) == 0
    assert polls.wait(60_000) == 1  # death makes a pidfd readable, even before it is reaped
    assert syscalls.pidfd_send_signal(pidfd, 0) == 0  # a zombie is still there
    assert syscalls.process_mrelease(pidfd) in (0, -errno.ESRCH, -errno.EAGAIN)
    assert child.wait() == -signal.SIGKILL
    assert syscalls.pidfd_send_signal(pidfd, signal.SIGKILL) == -errno.ESRCH
    assert syscalls.process_mrelease(pidfd) == -errno.ESRCH
    os.close(pidfd)


def test_mrelease_is_refused_for_a_living_process() -> None:
    pidfd = syscalls.pidfd_open(os.getpid())
    assert syscalls.process_mrelease(pidfd) == -errno.EINVAL
    os.close(pidfd)


def test_the_calls_of_the_kill_path_answer_a_bad_descriptor_without_raising() -> None:
    assert syscalls.pidfd_send_signal(-1, 0) == -errno.EBADF
    assert syscalls.process_mrelease(-1) == -errno.EBADF


def test_a_failure_names_the_call_and_its_subject() -> None:
    with pytest.raises(OSError, match=r"pidfd_open pid 4194305: ") as caught:
        syscalls.pidfd_open(4194305)  # one above the largest pid there can be
    assert caught.value.errno in (errno.ESRCH, errno.EINVAL)
    with pytest.raises(OSError, match=r"memfd_create .*"):
        syscalls.memfd_create("x" * 300)
    assert oserror("mount", "tracefs on /x", errno.EPERM).args[0] == errno.EPERM


def test_every_machine_has_its_own_numbers() -> None:
    # From the kernel's syscall tables (x86: entry/syscalls, arm: tools/syscall.tbl, others: asm-generic/unistd.h).
    assert numbers_of("x86_64", 8)[:9] == (144, 186, 290, 294, 254, 302, 319, 298, 321)
    assert numbers_of("aarch64", 8)[:9] == (119, 178, 19, 26, 27, 261, 279, 241, 280)
    assert numbers_of("armv7l", 4)[:9] == (156, 224, 356, 360, 317, 369, 385, 364, 386)
    assert numbers_of("aarch64", 4) == numbers_of("armv8l", 4)  # a 32-bit Python under a 64-bit kernel
    assert numbers_of("x86_64", 4) == numbers_of("i686", 4)
    for machine in ("x86_64", "aarch64"):
        assert numbers_of(machine, 8)[9:] == (424, 434, 436, 438, 440, 448)
    with pytest.raises(OSError, match="machine 'm68k'"):
        numbers_of("m68k", 8)
    with pytest.raises(OSError, match="machine 'mips'"):
        numbers_of("mips", 4)


def test_the_numbers_here_are_right() -> None:
    assert syscalls.gettid() == threading.get_native_id()
    libc_call = function("syscall", ctypes.c_long, ctypes.c_long)
    assert libc_call(NR.gettid) == threading.get_native_id()
    soft, hard = syscalls.getrlimit_nofile()
    assert soft == int(Path("/proc/self/limits").read_text().split("Max open files")[1].split()[0])
    syscalls.setrlimit_nofile(soft, hard)
    assert syscalls.getrlimit_nofile() == (soft, hard)


def test_an_eventfd_adds_up_and_a_memfd_holds_bytes() -> None:
    fd = syscalls.eventfd(2)
    os.write(fd, (40).to_bytes(8, "little"))
    assert int.from_bytes(os.read(fd, 8), "little") == 42
    with pytest.raises(BlockingIOError):
        os.read(fd, 8)
    assert not os.get_inheritable(fd)
    os.close(fd)
    fd = syscalls.memfd_create("lmkd-test")
    os.write(fd, b"text")
    assert os.readlink(f"/proc/self/fd/{fd}").startswith("/memfd:lmkd-test")
    os.close(fd)


def test_a_descriptor_of_another_process_can_be_taken_over() -> None:
    reader, writer = os.pipe()
    pidfd = syscalls.pidfd_open(os.getpid())
    try:
        own = syscalls.pidfd_getfd(pidfd, reader)
    except PermissionError as failure:
        require(False, f"ptrace of ourselves is forbidden: {failure}")
        return
    os.write(writer, b"x")
    assert os.read(own, 1) == b"x"
    for fd in (reader, writer, pidfd, own):
        os.close(fd)


@pytest.mark.parametrize("by", ["call", "loop"])
def test_a_range_of_descriptors_is_closed_and_the_rest_stay(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if by == "loop":
        monkeypatch.setattr(syscalls, "NR", NR._replace(close_range=100_000))  # a kernel before 5.9
    keep = os.dup2(0, 700)
    gone = [os.dup2(0, number) for number in (701, 703, 709)]
    syscalls.close_range(701, 709)
    for fd in gone:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)
    os.close(keep)
    syscalls.close_range(800, 799)


def test_a_change_of_a_file_wakes_an_inotify_watch(tmp_path: Path) -> None:
    fd = syscalls.inotify_init1()
    syscalls.inotify_add_watch(fd, str(tmp_path), syscalls.IN_CLOSE_WRITE)
    polls = PollSet(1)
    polls.set(0, fd, POLLIN)
    assert polls.wait(0) == 0
    (tmp_path / "procs").write_text("1 0 0\n")
    assert polls.wait(60_000) == 1
    assert b"procs" in os.read(fd, 4096)
    with pytest.raises(OSError, match="inotify_add_watch /no/such"):
        syscalls.inotify_add_watch(fd, "/no/such", syscalls.IN_CREATE)
    os.close(fd)


def test_scheduling_is_that_of_the_calling_thread_only() -> None:
    seen: list[int] = []

    def work() -> None:
        try:
            syscalls.sched_setscheduler(os.SCHED_BATCH, 0)
        except OSError:
            return
        seen.append(os.sched_getscheduler(syscalls.gettid()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [os.SCHED_BATCH]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
    with pytest.raises(OSError, match="sched_setscheduler policy 99"):
        syscalls.sched_setscheduler(99, 1)


def test_prctl_gives_its_result_and_names_its_option() -> None:
    assert syscalls.prctl(3) in (0, 1)  # PR_GET_DUMPABLE
    with pytest.raises(OSError, match="prctl option 9999"):
        syscalls.prctl(9999)


@pytest.mark.parametrize("by", ["advice", "touch"])
def test_populating_makes_every_page_present_and_keeps_the_contents(by: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(addr: int, length: int, advice: int) -> None:
        raise OSError(errno.EINVAL, "no such advice")

    if by == "touch":
        monkeypatch.setattr(memory, "madvise", refuse)
    area = mmap.mmap(-1, 64 * mmap.PAGESIZE)
    area[5 * mmap.PAGESIZE] = 77
    memory.populate(area)
    entries = Path("/proc/self/pagemap").open("rb")  # noqa: SIM115
    entries.seek(memory.address_of(area) // mmap.PAGESIZE * 8)
    raw = entries.read(64 * 8)
    entries.close()
    assert all(raw[index * 8 + 7] & 0x80 for index in range(64))  # bit 63: page present
    assert area[5 * mmap.PAGESIZE] == 77


def test_locking_and_unlocking_memory() -> None:
    require(IS_ROOT, "mlockall needs root or a large RLIMIT_MEMLOCK")
    code = (
        "from lmkd_py.kernel.acting.memory import *\n"
        "def locked(): return [l for l in open('/proc/self/status') if l.startswith('VmLck')][0].split()[1]\n"
        "mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT); a = locked(); munlockall(); print(a != '0', locked())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "True 0\n"
    with pytest.raises(OSError, match="mlockall flags 0x40"):
        memory.mlockall(0x40)


def test_a_libc_without_mallopt_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memory.mallopt(memory.M_ARENA_MAX, 8) in (0, 1)

    def missing(name: str, *types: object) -> None:
        raise AttributeError(name)

    monkeypatch.setattr(memory, "function", missing)
    assert memory.mallopt(memory.M_ARENA_MAX, 8) == 0

"""The poll set: what the killer sleeps in."""

from __future__ import annotations

import errno
import os
import signal
import threading
import time

from lmkd_py.kernel.acting import syscalls
from lmkd_py.kernel.acting.poll import POLLERR, POLLIN, POLLNVAL, PollSet


def test_a_cleared_slot_is_silent_and_a_bad_descriptor_says_so() -> None:
    reader, writer = os.pipe()
    polls = PollSet(3)
    polls.set(0, reader, POLLIN)
    polls.set(2, 999, POLLIN)
    os.write(writer, b"x")
    assert polls.wait(0) == 2
    assert (polls.revents(0), polls.revents(1), polls.revents(2)) == (POLLIN, 0, POLLNVAL)
    polls.clear(0)
    polls.clear(2)
    assert polls.wait(0) == 0
    assert polls.revents(0) == 0
    polls.set(1, writer, 0)
    os.close(reader)
    assert polls.wait(0) == 1
    assert polls.revents(1) & POLLERR
    os.close(writer)


def test_a_signal_ends_a_wait_with_a_negative_errno() -> None:
    previous = signal.signal(signal.SIGALRM, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05, 0.05)
    try:
        assert PollSet(1).wait(60_000) == -errno.EINTR
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def test_other_threads_run_while_one_waits() -> None:
    done = threading.Event()
    fd = syscalls.eventfd()
    polls = PollSet(1)
    polls.set(0, fd, POLLIN)

    def wake() -> None:
        done.set()
        time.sleep(0.01)
        os.write(fd, (1).to_bytes(8, "little"))

    thread = threading.Thread(target=wake)
    thread.start()
    assert polls.wait(60_000) == 1  # would never return if wait() held the interpreter
    thread.join()
    assert done.is_set()
    os.close(fd)

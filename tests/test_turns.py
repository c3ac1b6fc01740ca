"""A test marked `alone` runs while no other does, and keeps nobody waiting for ever."""

from __future__ import annotations

import os
import signal
import threading
import time
import uuid
from collections.abc import Iterator

import pytest

from tests.suite import turns


@pytest.fixture
def run() -> Iterator[str]:
    name = uuid.uuid4().hex
    yield name
    turns.tidy(name)


def test_nobody_else_has_a_turn_while_one_is_alone(run: str) -> None:
    inside: set[str] = set()
    seen: list[tuple[str, frozenset[str]]] = []

    def take(name: str, alone: bool) -> None:
        for _ in range(20):
            with turns.turn(run, alone):
                inside.add(name)
                time.sleep(0.001)
                seen.append((name, frozenset(inside)))
                inside.discard(name)

    threads = [threading.Thread(target=take, args=(f"{n}", n == 0), daemon=True) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert len(seen) == 80
    assert all(others == {"0"} for name, others in seen if name == "0")


def test_a_process_that_a_test_forked_and_left_keeps_nobody_waiting(run: str) -> None:
    with turns.turn(run, alone=False):
        pid = os.fork()
        if not pid:
            while True:
                signal.pause()
    took = threading.Event()

    def take() -> None:
        with turns.turn(run, alone=True):
            took.set()

    try:
        threading.Thread(target=take, daemon=True).start()
        assert took.wait(30)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

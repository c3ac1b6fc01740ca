"""The steward hears at once that pressure begins, where it has something to do then, and not again and again."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lmkd_py.daemon.killer.ring import HERALD_MS, Ring
from lmkd_py.kernel.acting.syscalls import eventfd
from tests.analysis.paper import PaperKiller
from tests.daemon.pair import Pair


class Herald:
    def __init__(self, heralds: bool) -> None:
        self.pair, self.fd = Pair(), eventfd()
        self.ring = Ring(self.pair.shared, self.fd, 100, heralds)
        self.paper = PaperKiller()

    def heard(self) -> int:
        try:
            return int.from_bytes(os.read(self.fd, 8), "little")
        except BlockingIOError:
            return 0

    def wake(self, now_ms: int) -> None:
        record = self.paper.wakeup()
        self.ring.write(record._replace(snapshot=record.snapshot._replace(now_ms=now_ms)))

    def close(self) -> None:
        os.close(self.fd)
        self.pair.close()


@pytest.fixture(params=[True, False])
def herald(request: pytest.FixtureRequest) -> Iterator[Herald]:
    made = Herald(request.param)
    yield made
    made.close()


def test_the_first_wakeup_of_an_episode_is_heard_at_once(herald: Herald) -> None:
    heralds = herald.ring.heralds
    for number in range(16):
        herald.wake(10_000 + 10 * number)
        assert herald.heard() == (1 if heralds and not number else 0)
    herald.ring.settle()
    herald.heard()
    herald.wake(10_000 + HERALD_MS)
    assert herald.heard() == (1 if heralds else 0)


def test_kicks_one_by_one_are_heard_once_a_second(herald: Herald) -> None:
    heard = 0
    for at_ms in range(0, 3 * HERALD_MS, 25):
        herald.wake(10_000 + at_ms)
        heard += herald.heard()
        herald.ring.settle()
        herald.heard()  # that there is a record to file
    assert heard == (3 if herald.ring.heralds else 0)


def test_the_dry_run_leaves_no_mark(herald: Herald) -> None:
    fresh = dict(vars(herald.ring))
    herald.ring.rehearse(herald.paper.wakeup())
    herald.ring.rewind()
    assert dict(vars(herald.ring)) == fresh

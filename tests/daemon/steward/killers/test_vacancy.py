"""A steward whose killers die: it forks others, with pauses where they die young, and never gives up."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon.inherited import EXIT_BROKEN, EXIT_KERNEL_LACKS, EXIT_NO_PERMISSION
from lmkd_py.daemon.steward import backoff, event_loop
from lmkd_py.daemon.steward.killers import vacancy
from lmkd_py.daemon.steward.killers.keeper import Killer, KillerFailed
from lmkd_py.daemon.steward.killers.vacancy import MAX_REFORKS
from lmkd_py.kernel.acting.syscalls import pidfd_open
from lmkd_py.wire.control import Request, Verb
from lmkd_py.wire.sentences import sentence
from tests.daemon.driver import Trace
from tests.daemon.rig import Rig


class Clock:
    """A time that only passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    for module in (backoff, vacancy):
        monkeypatch.setattr(module, "monotonic", made)
    monkeypatch.setattr(event_loop, "RETRY_MS", 1)
    return made


@pytest.fixture
def bereft(tmp_path: Path, clock: Clock) -> Iterator[Rig]:
    """A steward whose killer has just ended."""
    rig = Rig(tmp_path / "root")
    pid = os.fork()
    if not pid:
        os._exit(0)
    alive, rig.killer.pidfd = rig.killer.pidfd, pidfd_open(pid)
    rig.steward.unwatch(alive)
    rig.steward.watch(rig.killer.pidfd, rig.steward.killer_ended)
    os.waitpid(pid, 0)
    yield rig
    os.close(alive)
    rig.close()


def test_killers_that_die_young_are_followed_by_others_with_ever_longer_pauses(
    bereft: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []

    def fork(required_layer: int = ABSENT) -> Killer:
        tries.append(clock.now)
        raise KillerFailed(codes[len(tries) % len(codes)], "it broke")

    codes = (EXIT_BROKEN, EXIT_KERNEL_LACKS, EXIT_NO_PERMISSION)
    steward = bereft.steward
    monkeypatch.setattr(steward, "fork", fork)
    steward.vacancy.forked_at = clock.now
    while len(tries) < MAX_REFORKS + 8:
        monkeypatch.setattr(steward, "patience_s", lambda: 0.0)
        steward.run_once()
        assert not steward.stopping
        clock.now += max(steward.vacancy.wait_s(), 0.001)
    pauses = [round(later - sooner, 1) for sooner, later in itertools.pairwise(tries)]
    assert max(pauses[: MAX_REFORKS - 2]) < 0.5
    assert pauses[-8:] == [1, 2, 4, 8, 16, 32, 60, 60]
    reply = steward.answer(Request(Verb.STATUS))
    assert (reply.ok, reply.armed, reply.killer_pid) == (1, 0, 0)
    assert sentence(reply.notes[-1]) == f"killer {os.getpid()} is dead; the next one is forked in 0 s"
    kinds = [note.kind for note in Trace(bereft.root).notes]
    assert [kinds.count(kind) for kind in ("killer-died", "killers-die-young", "killer-failed")] == [1, 1, 1]


def test_while_nobody_takes_them_candidates_do_not_pile_up(
    bereft: Rig, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fork(required_layer: int = ABSENT) -> Killer:
        raise KillerFailed(EXIT_BROKEN, "it broke")

    steward = bereft.steward
    monkeypatch.setattr(steward, "fork", fork)
    steward.run_once()
    before = len(os.listdir("/proc/self/fd"))
    for adj in range(800, 810):
        for pid in list(bereft.adjs):
            steward.discovery.register(pid, 0, adj)
    assert not steward.killer.behind()
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_waits_for_the_next_killer_does_not_keep_the_steward_awake(bereft: Rig, clock: Clock) -> None:
    """Lost triggers and slow closers are not tended without a killer, so that they are due wakes nobody."""
    steward = bereft.steward
    steward.vacancy.pid = bereft.killer.pid
    steward.vacancy._retry.failed(30.0)
    steward.lost.lost = 1
    steward.slow.add((os.open("/dev/null", os.O_RDONLY),))
    steward.slow._due_s = 0.0
    steward.after_each()
    assert steward.patience_s() > 1
    clock.now += 30
    assert steward.patience_s() == 0
    steward.slow.close()

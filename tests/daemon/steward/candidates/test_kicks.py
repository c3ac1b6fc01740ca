"""Kicks of the kernel are heeded again, whatever one registration of their descriptor came to."""

from __future__ import annotations

import errno
import os
import select
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from lmkd_py.daemon.steward.candidates.candidate_events import KICK_GAP_S, CandidateEvents
from lmkd_py.daemon.steward.candidates.candidates import Candidates
from lmkd_py.daemon.steward.candidates.discovery import Discovery
from tests.daemon.driver import wait_until
from tests.daemon.steward.candidates.test_candidate_events import Everybody, Source, turn


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CandidateEvents]:
    """Begun, of a domain without members."""
    monkeypatch.setattr(CandidateEvents, "_open", lambda _: Source(True))
    discovery = Discovery(str(tmp_path), Candidates(64, 8), Everybody(), True, 0)  # type: ignore[arg-type]
    made = CandidateEvents(discovery)
    made.begin()
    yield made
    discovery.close()


class Forgetful:
    """A poll set that refuses the next registration, for want of memory."""

    def __init__(self, real: select.epoll) -> None:
        self.real = real
        self.refusals = 1

    def register(self, fd: int, events: int) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError(errno.ENOMEM, "Cannot allocate memory")
        self.real.register(fd, events)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


def struck_by(kick_fd: int) -> SimpleNamespace:
    return SimpleNamespace(kick_fd=kick_fd, unanswered=lambda: True)


def turn_until(events: CandidateEvents, what: str, holds: Callable[[], bool]) -> None:
    def turned() -> bool:
        turn(events, 0.05)
        return holds()

    wait_until(what, turned)


def assert_heeds(events: CandidateEvents, ring: int) -> None:
    """A kick that stays unanswered is followed by a look at everybody."""
    scans = events.scans
    os.write(ring, b".")
    turn_until(events, "everybody was looked at", lambda: events.scans > scans)


def test_kicks_are_heeded_after_the_kernel_had_no_memory_for_it(events: CandidateEvents) -> None:
    poll = events._poll
    events._poll = Forgetful(poll)  # type: ignore[assignment]
    (kicks, ring), (later_kicks, later_ring) = os.pipe(), os.pipe()
    events.heed_kicks(struck_by(kicks))  # type: ignore[arg-type]
    assert 0 <= events.patience_s(-1) <= KICK_GAP_S, "it is tried again"
    assert_heeds(events, ring)
    events._poll.refusals = 1  # type: ignore[attr-defined]
    events.heed_kicks(struck_by(later_kicks))  # type: ignore[arg-type]
    events.heed_kicks(struck_by(later_kicks))  # type: ignore[arg-type]
    assert_heeds(events, later_ring)
    events.heed_kicks(struck_by(-1))  # type: ignore[arg-type]
    turn_until(events, "nothing is due", lambda: events.patience_s(-1) == -1)
    for fd in (kicks, ring, later_kicks, later_ring):
        os.close(fd)


def test_kicks_are_heeded_after_the_former_descriptor_was_closed(events: CandidateEvents) -> None:
    kicks, ring = os.pipe()
    events.heed_kicks(struck_by(kicks))  # type: ignore[arg-type]
    os.close(kicks)
    os.close(ring)
    spare = os.open("/dev/null", os.O_RDONLY)  # another file under the former number
    kicks, ring = os.pipe()
    events.heed_kicks(struck_by(kicks))  # type: ignore[arg-type]
    assert_heeds(events, ring)
    for fd in (spare, kicks, ring):
        os.close(fd)

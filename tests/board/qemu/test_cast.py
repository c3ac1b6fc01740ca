"""Actors of a trial, as they are on this machine: what they tell, how they die, and whose death was wrong."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.qemu.guest.cast import MIXED, NOISE, PLAIN, Actor, Part, Role, beat, fill, hold, take, wrong
from lmkd_py.board.qemu.guest.readings import OOM_KILL
from lmkd_py.board.qemu.guest.register import Register
from lmkd_py.board.workloads.workload import rounds

PATIENCE_MS = 30_000
PAGE = 4096


@pytest.fixture
def cast() -> Iterator[list[Actor]]:
    """Whoever is put into it is gone at the end."""
    actors: list[Actor] = []
    yield actors
    for actor in actors:
        actor.end()


def hear(actor: Actor, count: int) -> list[int]:
    poll = select.poll()
    poll.register(actor.line_fd, select.POLLIN)
    while len(actor.told) < count:
        assert poll.poll(PATIENCE_MS), actor.told
        actor.hear(1.5)
    return [value for _, value in actor.told]


def answer(part: Part) -> None:
    for number in range(1, 4):
        part.cue()
        part.tell(number)


@pytest.mark.parametrize("role", [hold(2, MIXED), hold(2)])
def test_an_actor_has_its_memory_its_name_and_its_priority_when_it_tells(cast: list[Actor], role: Role) -> None:
    cast.append(Actor("idle-app", 905, role))
    assert hear(cast[0], 1) == [2]
    proc = Path("/proc", str(cast[0].pid))
    assert (proc / "comm").read_text() == "idle-app\n"
    assert (proc / "oom_score_adj").read_text() == "905\n"


def test_an_actor_answers_cues_and_its_death_ends_the_line(cast: list[Actor]) -> None:
    cast.append(Actor("answers", 1, answer))
    actor = cast[0]
    for number in range(1, 4):
        actor.cue()
        assert hear(actor, number)[-1] == number
    os.kill(actor.pid, signal.SIGKILL)
    assert select.select([actor.pidfd], [], [], 30)[0]
    actor.bury(2.5)
    actor.hear(2.5)
    actor.cue()  # nobody is there any more
    assert (actor.signal, actor.death_s, actor.is_gone) == (signal.SIGKILL, 2.5, True)


def test_a_round_is_told_in_microseconds(cast: list[Actor]) -> None:
    cast.append(Actor("beats", 1, beat(1, PLAIN, 0.001)))
    first, *others = hear(cast[0], 4)
    assert first == 0
    assert all(us > 0 for us in others)


@pytest.mark.parametrize("noise", [PLAIN, MIXED, NOISE])
def test_no_two_pages_are_alike_and_so_much_of_each_is_noise(noise: int) -> None:
    room = take(3, noise)
    pages = {bytes(room[at : at + PAGE]) for at in range(0, len(room), PAGE)}
    assert len(pages) == len(room) // PAGE
    assert all(page[noise:] == bytes(PAGE - noise) for page in pages)
    fill(room, noise)
    assert not pages & {bytes(room[at : at + PAGE]) for at in range(0, len(room), PAGE)}


def actor(name: str, adj: int, death_s: float = 0.0, above: list[Actor] | None = None) -> Actor:
    made = Actor.__new__(Actor)
    made.name, made.adj, made.death_s, made.above = name, adj, death_s, above or []
    return made


def test_a_kill_is_wrong_while_somebody_more_expendable_lives_on() -> None:
    survivor, soon, later = actor("a", 900), actor("b", 900, 2.5), actor("c", 900, 9.0)
    for above, names in (([], []), ([survivor], ["x"]), ([soon], []), ([later], ["x"]), ([soon, later], ["x"])):
        assert wrong([actor("x", 800, 1.0, above), survivor], ()) == names
    assert wrong([actor("x", 800, 1.0, [survivor])], ["x"]) == []  # it caused the shortage


def test_the_kernels_log_tells_whom_it_killed() -> None:
    said = b"3,900,123456,-;Out of memory: Killed process 412 (cached-916) total-vm:24484kB, anon-rss:7168kB, ..."
    found = OOM_KILL.search(said)
    assert found is not None
    assert int(found[1]) == 412
    assert not OOM_KILL.search(b"6,901,123457,-;oom_reaper: reaped process 412 (cached-916), now anon-rss:0kB")


def test_applications_are_registered_in_a_file_of_their_own(tmp_path: Path) -> None:
    register = Register(f"procs:{tmp_path / 'procs'}")
    register.tell(12, 900)
    register.tell(13, 0)
    register.tell(12, 700)
    assert (tmp_path / "procs").read_text() == "12 0 700\n13 0 0\n"
    register.forget(12)
    register.forget(12)
    assert (tmp_path / "procs").read_text() == "13 0 0\n"
    register.close()


def test_applications_are_registered_as_activity_manager_does_it(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(tmp_path / "lmkd"))
        listener.listen(1)
        register = Register(f"socket:{tmp_path / 'lmkd'}")
        register.tell(12, 900)
        register.forget(12)
        with listener.accept()[0] as line:
            assert struct.unpack(">4i", line.recv(64)) == (1, 12, 0, 900)
            assert struct.unpack(">2i", line.recv(64)) == (2, 12)
        register.close()
    with pytest.raises(ValueError, match="wanted nothing, procs:PATH or socket:PATH"):
        Register("binder")


def test_rounds_are_fast_since_the_last_two_slow_ones_in_a_row() -> None:
    thrash = [(1.0, 3_000_000), (4.0, 3_000_000), (4.1, 12_000), (5.0, 150_000), (5.5, 12_000), (6.0, 11_000)]
    found = rounds(thrash)
    assert found["fast_since_s"] == 4.0
    assert found["round_ms"] == [150.0, 3000.0, 3000.0]
    assert rounds(thrash[:3])["fast_since_s"] == -1.0  # for less than a second
    assert rounds([])["fast_since_s"] == -1.0
    assert rounds([])["rounds"] == 0

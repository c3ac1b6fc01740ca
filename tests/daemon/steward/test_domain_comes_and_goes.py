"""A guarded cgroup that is not there yet, is removed, is made again: the daemon waits, says so, and guards again."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.core.config import Config, DomainConfig, DomainKind, GuaranteeConfig, MonitorConfig, StrikeConfig
from lmkd_py.daemon.inherited import EXIT_DOMAIN_GONE
from lmkd_py.kernel.sensing.mounts import cgroup_v2_root, memcg_v1_root
from lmkd_py.wire.control import Verb
from tests.daemon.driver import Daemon, Trace, wait_until, write_config
from tests.daemon.program import lmkd_py
from tests.support import needs_cgroup, require

pytestmark = needs_cgroup


class Cgroup:
    """A memory cgroup and its twin that come and go."""

    def __init__(self, name: str) -> None:
        memory, unified = memcg_v1_root(), cgroup_v2_root()
        require(memory and unified, "needs the v1 memory controller and a v2 hierarchy beside it")
        self.memory, self.twin = Path(memory) / name, Path(unified) / name
        self.config = Config(
            monitor=MonitorConfig(
                domain=DomainConfig(DomainKind.MEMCG_V1, str(self.memory), str(self.twin)),
                strike=StrikeConfig(enabled=0),
                guarantee=GuaranteeConfig(reserve_kb=0),
            )
        )

    def make(self) -> None:
        self.memory.mkdir()
        (self.memory / "memory.limit_in_bytes").write_text(str(64 << 20))
        self.twin.mkdir()

    def remove(self) -> None:
        for path in (self.memory, self.twin):
            if path.is_dir():
                path.rmdir()


@pytest.fixture
def cgroup() -> Iterator[Cgroup]:
    made = Cgroup(f"lmkd_gone_{os.getpid()}")
    yield made
    made.remove()


def descriptors(daemon: Daemon) -> int:
    """How many the steward has, when no client is being hung up on."""
    return len(os.listdir(f"/proc/{daemon.pid}/fd"))


def answers(daemon: Daemon) -> bool:
    """Whether the control socket is open yet."""
    try:
        return bool(daemon.status().ok)
    except OSError:
        return False


def killers(root: Path) -> int:
    """How many have been live so far. Their pids tell nothing: tests that recycle pids make them come back at once."""
    return len(Trace(root).noted("killer-started"))


def guards(daemon: Daemon, killer: int) -> bool:
    """Whether the killer of this number is live."""
    reply = daemon.status()
    daemon.killer_pid = reply.killer_pid
    return bool(reply.armed) and killers(daemon.root) == killer


def test_a_cgroup_that_is_removed_and_made_again_is_guarded_again(cgroup: Cgroup, tmp_path: Path) -> None:
    cgroup.make()
    write_config(tmp_path, cgroup.config)
    daemon = Daemon(tmp_path)
    try:
        held = 0
        for round_ in range(3):
            cgroup.remove()
            wait_until("it waits", lambda: daemon.status().waiting)
            reply = daemon.status()
            assert (reply.ok, reply.armed, reply.killer_pid) == (1, 0, 0)
            assert reply.text == f"waiting for the domain: memory domain {cgroup.memory}: no such directory"
            cgroup.make()
            wait_until("it guards again", lambda: guards(daemon, round_ + 2))  # noqa: B023
            held = held or descriptors(daemon)
            wait_until("no descriptor is left behind", lambda: descriptors(daemon) <= held)  # noqa: B023
        assert daemon.stop() == 0
    finally:
        daemon.end()
    trace = Trace(tmp_path)
    wanted = ["domain-gone", "domain-back"] * 3 + ["stopped"]
    assert [note.kind for note in trace.notes if note.kind in wanted] == wanted
    assert all(note.number > 0 for note in trace.noted("domain-back"))
    assert not trace.lost


def test_made_again_at_once_it_is_guarded_again_without_waiting_for_anybody(cgroup: Cgroup, tmp_path: Path) -> None:
    cgroup.make()
    write_config(tmp_path, cgroup.config)
    daemon = Daemon(tmp_path)
    try:
        cgroup.remove()
        cgroup.make()
        wait_until("it guards again", lambda: guards(daemon, 2))
        assert daemon.stop() == 0
    finally:
        daemon.end()


def test_a_cgroup_that_is_not_there_yet_is_waited_for(cgroup: Cgroup, tmp_path: Path) -> None:
    write_config(tmp_path, cgroup.config)
    daemon = Daemon(tmp_path, wait=False)
    try:
        wait_until("it answers", lambda: answers(daemon))
        assert daemon.status().waiting
        said = lmkd_py("status", "--root", str(tmp_path))
        assert said.stdout.startswith(f"waiting for the domain: memory domain {cgroup.memory}")
        assert lmkd_py("check", "--root", str(tmp_path)).returncode == EXIT_DOMAIN_GONE
        cgroup.memory.mkdir()  # the twin is still missing
        wait_until("it misses the twin", lambda: str(cgroup.twin) in daemon.status().text)
        cgroup.twin.mkdir()
        wait_until("it guards", lambda: guards(daemon, 1))
        assert daemon.stop() == 0
    finally:
        daemon.end()


@pytest.mark.parametrize("how", ["signal", "request"])
def test_it_can_be_stopped_while_it_waits(cgroup: Cgroup, tmp_path: Path, how: str) -> None:
    write_config(tmp_path, cgroup.config)
    daemon = Daemon(tmp_path, wait=False)
    try:
        wait_until("it answers", lambda: answers(daemon))
        if how == "request":
            assert daemon.ask(Verb.STOP).ok
            assert daemon.process.wait(30) == 0
        else:
            assert daemon.status().waiting
            assert daemon.stop() == 0
        assert not (tmp_path / "ctl").exists()
    finally:
        daemon.end()


def test_another_configuration_is_taken_while_it_waits(cgroup: Cgroup, tmp_path: Path) -> None:
    write_config(tmp_path, cgroup.config)
    daemon = Daemon(tmp_path, wait=False)
    other = Cgroup(f"lmkd_other_{os.getpid()}")
    try:
        wait_until("it answers", lambda: answers(daemon))
        (tmp_path / "config.bin").write_bytes(b"\xff")
        refused = daemon.ask(Verb.RELOAD)
        assert (refused.ok, refused.waiting) == (0, 1)
        other.make()
        write_config(tmp_path, other.config)
        daemon.process.send_signal(signal.SIGHUP)
        wait_until("it guards the other one", lambda: guards(daemon, 1))
        assert str(other.memory) in daemon.status().domain
        assert daemon.stop() == 0
    finally:
        daemon.end()
        other.remove()

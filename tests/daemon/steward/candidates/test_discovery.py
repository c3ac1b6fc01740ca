"""Scans and the registration file, on real processes of this test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.core.config import DiscoveryConfig, MonitorConfig
from lmkd_py.daemon.steward.candidates.candidates import Candidates
from lmkd_py.daemon.steward.candidates.discovery import Discovery
from tests.daemon.steward.candidates.test_candidates import kernel_thread
from tests.support import IS_ROOT, require


class Members:
    """A domain whose member lists are given one after the other; the last one stays."""

    def __init__(self, *lists: list[int]) -> None:
        self.lists = list(lists)

    def members(self) -> list[int]:
        return self.lists.pop(0) if len(self.lists) > 1 else self.lists[0]


@pytest.fixture
def child() -> Iterator[int]:
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    Path(f"/proc/{pid}/oom_score_adj").write_text("900")
    yield pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def discovery_of(root: Path, domain: Members, min_adj: int = 0) -> Discovery:
    return Discovery(str(root), Candidates(64, 8), domain, True, min_adj)  # type: ignore[arg-type]


def test_a_member_is_found_with_its_own_adj(tmp_path: Path, child: int) -> None:
    found = discovery_of(tmp_path, Members([1, os.getpid(), child]))
    found.scan()
    assert [(each.pid, each.adj) for each in found.candidates.processes.values()] == [(child, 900)]
    found.close()


def test_a_process_that_is_no_member_when_asked_again_is_dropped(tmp_path: Path, child: int) -> None:
    found = discovery_of(tmp_path, Members([child], []))  # as if the pid had been recycled outside in between
    found.scan()
    assert found.candidates.processes == {}
    found.close()


def test_a_process_below_the_least_adj_is_left_alone_and_one_that_sinks_is_dropped(tmp_path: Path, child: int) -> None:
    found = discovery_of(tmp_path, Members([child]), min_adj=500)
    found.scan()
    assert child in found.candidates.processes
    Path(f"/proc/{child}/oom_score_adj").write_text("100")
    found.scan()
    assert found.candidates.processes == {}
    found.close()


def test_the_file_registers_changes_and_removes(tmp_path: Path, child: int) -> None:
    found = discovery_of(tmp_path, Members([]))
    (tmp_path / "procs").write_text(f"{child} 10001 700\n1 0 900\nnonsense\n")
    assert found.file_changed()
    found.read_file()
    assert found.candidates.processes[child].adj == 700
    assert found.candidates.processes[child].uid == 10001
    assert found.complaints == ["procs line 3: found 'nonsense', wanted 'pid uid adj'", "pid 1 is never a candidate"]
    (tmp_path / "procs").write_text(f"{child} 10001 200\n")
    found.read_file()
    assert found.candidates.processes[child].adj == 200
    (tmp_path / "procs").write_text("")
    found.read_file()
    assert found.candidates.processes == {}
    found.close()


def test_the_dead_are_buried(tmp_path: Path) -> None:
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    Path(f"/proc/{pid}/oom_score_adj").write_text("900")
    found = discovery_of(tmp_path, Members([pid]))
    found.scan()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert found.bury() == 1
    assert found.candidates.processes == {}
    found.close()


def test_a_death_is_not_taken_for_that_of_whoever_has_the_descriptor_number_now(tmp_path: Path, child: int) -> None:
    former = os.fork()
    if former == 0:
        while True:
            signal.pause()
    found = discovery_of(tmp_path, Members([]))
    first = found.register(former, 0, 900)
    assert first is not None
    of_the_killer = os.dup(first.pidfd)  # an epoll set forgets a descriptor only when its last duplicate is closed
    found.remove(former)
    second = found.register(child, 0, 900)
    assert second is not None
    assert second.pidfd == first.pidfd
    os.kill(former, signal.SIGKILL)
    os.waitpid(former, 0)
    assert found.bury() == 0
    assert list(found.candidates.processes) == [child]
    os.close(of_the_killer)
    found.close()


def a_dead_child(found: Discovery) -> int:
    """Pid of a registered process that is now a zombie."""
    pid = os.fork()
    if pid == 0:
        while True:
            signal.pause()
    assert found.register(pid, 0, 900) is not None
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return pid


def test_whoever_got_the_pid_of_a_dead_candidate_is_watched_in_its_turn(tmp_path: Path) -> None:
    last_pid = Path("/proc/sys/kernel/ns_last_pid")
    require(IS_ROOT and os.access(last_pid, os.W_OK), "may not choose a pid here: run the tests as root")
    for _ in range(100):  # somebody else may be faster with the pid
        found = discovery_of(tmp_path, Members([]))
        first = a_dead_child(found)
        last_pid.write_text(str(first - 1))
        again = a_dead_child(found)  # registered over the first
        buried, left = found.bury(), dict(found.candidates.processes)
        found.close()
        if again == first:
            break
    assert again == first, "the kernel gave the pid to somebody else a hundred times"
    assert (buried, left) == (1, {})


def test_a_process_that_left_the_domain_is_dropped_by_the_next_scan(tmp_path: Path, child: int) -> None:
    found = discovery_of(tmp_path, Members([child], [child], []))
    found.scan()
    assert list(found.candidates.processes) == [child]
    found.scan()
    assert found.candidates.processes == {}
    found.register(child, 0, 900).registered = True  # type: ignore[union-attr]
    found.scan()
    assert list(found.candidates.processes) == [child], "whoever is registered by name stays, member or not"
    found.close()


def test_with_scans_switched_off_only_those_that_are_registered_by_name_stay(tmp_path: Path, child: int) -> None:
    found = discovery_of(tmp_path, Members([child]))
    found.scan()
    assert list(found.candidates.processes) == [child]
    found.watch(found.domain, MonitorConfig(discovery=DiscoveryConfig(scan=0)))
    found.scan()
    assert found.candidates.processes == {}
    (tmp_path / "procs").write_text(f"{child} 10001 700\n")
    found.read_file()
    found.scan()
    assert list(found.candidates.processes) == [child]
    found.close()


def test_a_kernel_thread_is_met_once_until_something_happens_to_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a small board they are most of what a scan meets, and each costs four files to open."""
    thread = kernel_thread()
    require(thread is not None, "this pid namespace shows no kernel thread: run the tests outside of it")
    assert thread is not None
    found = discovery_of(tmp_path, Members([thread]))
    met: list[int] = []
    register = found.candidates.register

    def counted(pid: int, *words: Any, **more: Any) -> object:
        met.append(pid)
        return register(pid, *words, **more)

    monkeypatch.setattr(found.candidates, "register", counted)
    monkeypatch.setattr(Members, "among", lambda _, pids: pids, raising=False)
    for _ in range(3):
        found.scan()
    assert met == [thread]
    found.look({thread})  # a birth: the thread has ended, and its number is a process's
    assert met == [thread] * 2
    found.close()

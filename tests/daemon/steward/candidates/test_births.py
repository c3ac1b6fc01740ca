"""Process events behind real daemons and domains: storms of births, and a machine without BPF."""

from __future__ import annotations

import errno
import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.daemon.steward.candidates.candidate_events import GAP_S, CandidateEvents
from lmkd_py.daemon.steward.candidates.candidates import Candidates
from lmkd_py.daemon.steward.candidates.discovery import Discovery
from lmkd_py.kernel.sensing.domain import open_domain
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.daemon.lacking import without_syscall
from tests.daemon.steward.candidates.test_candidate_events import turn
from tests.support import require

BREEDERS, BIRTHS = 2, 1500


@pytest.mark.pressure
def test_a_storm_of_births_costs_ten_looks_a_second_and_no_look_at_everybody(tmp_path: Path, board: Sandbox) -> None:
    discovery = Discovery(str(tmp_path), Candidates(4096, 8), open_domain(board.monitor_config()), True, 0)
    events = CandidateEvents(discovery)
    events.begin()
    require(events.complete, f"process events by BPF: {events.note}")
    moves = "".join(f"echo $$ > {place}; " for place in board.place.places)
    program = f"{moves} i=0; while [ $i -lt {BIRTHS} ]; do (:); i=$((i+1)); done"
    began = time.monotonic()
    breeders = [subprocess.Popen(["sh", "-c", program]) for _ in range(BREEDERS)]
    seen = 0
    while any(each.poll() is None for each in breeders):
        turn(events, 0.1)
        seen = max(seen, len(discovery.candidates.processes))
    took_s = time.monotonic() - began
    while events.patience_s(-1) >= 0:
        turn(events, 0.1)
    assert events.looks <= took_s / GAP_S + 3
    assert events.scans <= took_s + 3  # one a second where more was born than the ring holds
    assert seen >= 1
    assert not discovery.candidates.processes
    events.close_source()
    discovery.close()


@pytest.mark.pressure
def test_without_bpf_births_are_heard_of_and_the_killer_hears_none(board: Sandbox, tmp_path: Path) -> None:
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    daemon = Daemon(tmp_path, preexec=without_syscall("bpf", errno.EPERM))
    try:
        (note,) = Trace(tmp_path).noted("candidates")
        require("proc connector" in note.text.split(":")[1], f"the proc connector: {note.text}")
        assert sockets_of_the_connector(daemon.pid)
        app = board.start_app("cached-900", 900, 4)
        wait_until("it is known", lambda: daemon.status().candidates == 1)
        former = daemon.killer_pid
        os.kill(former, 9)
        wait_until("another killer is live", lambda: daemon.status().killer_pid != former and daemon.status().armed)
        assert not sockets_of_the_connector(daemon.status().killer_pid)
        assert daemon.status().candidates == 1
        assert app.is_alive()
        assert daemon.stop() == 0
    finally:
        daemon.end()


def sockets_of_the_connector(pid: int) -> set[str]:
    """Inodes of the process's netlink sockets for process events."""
    lines = [line.split() for line in Path("/proc/net/netlink").read_text().splitlines()[1:]]
    ours = {words[-1] for words in lines if words[1] == "11"}
    links = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed meanwhile
            links.add(os.readlink(link))
    return {link[8:-1] for link in links if link.startswith("socket:[")} & ours

"""Layer 2: the steward's locked reserve goes back to the kernel before it acts, and returns only when all is calm."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.kernel.protection.reserve import ram_kb, suitable_kb
from lmkd_py.kernel.sensing.perf import EventCounter
from lmkd_py.wire.control import Verb
from tests.daemon.driver import Daemon, Trace, wait_until
from tests.support import needs_cgroup
from tools.observer import Observer

pytestmark = needs_cgroup
Start = Callable[..., Daemon]

RESERVE_KB = suitable_kb(ram_kb())  # by default


def locked_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmLck:")[2].split()[0])


def noted(daemon: Daemon) -> str:
    return next((line for line in daemon.said if line.startswith("note ") and "pool" in line), "")


def wait_for_kills(daemon: Daemon, count: int) -> None:
    wait_until(f"{count} kills", lambda: daemon.status().kills >= count)


def test_the_steward_holds_the_reserve_locked_and_the_killer_has_none_of_it(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    assert locked_kb(daemon.pid) == RESERVE_KB > 0
    assert noted(daemon) == "note private pool: 8192 kB locked by the steward"
    assert daemon.status().layers & 7 == 7
    for line in Path(f"/proc/{daemon.killer_pid}/maps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        assert int(last, 16) - int(first, 16) != RESERVE_KB << 10


@pytest.mark.pressure
def test_the_trace_names_the_layer_in_header_and_records(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    board.start_app("cached-900", 900, 8)
    board.start_thrashers(3)
    wait_for_kills(daemon, 1)
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert [(layer.number, layer.active) for layer in trace.headers[0].layers][:3] == [(0, 1), (1, 1), (2, 1)]
    assert all(record.layers & 4 for record in trace.records)


@pytest.mark.pressure
@pytest.mark.soak  # the rule with a clock of its own: test_deferred_work.py
@pytest.mark.slow
@pytest.mark.alone  # thrashers that get no CPU do not wait for memory, and three seconds of that are calm
def test_it_is_given_back_at_the_first_kill_and_stays_away_while_pressure_lasts_as_do_syncs_of_the_trace(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    for number in range(12):
        board.start_app(f"cached-{number}", 901 + number, 4)
    # None of the thrashers is a candidate: they are to last longer than a reload that takes its time.
    monitor: dict[str, Any] = {
        "triggers": {"psi_full_stall_ms": 0, "vmpressure": 0},
        "discovery": {"scan_min_adj": 900},
    }
    daemon = start(board, **monitor)
    # So many that one waits for memory also where all get little CPU. And a file that is hardly larger than its memory:
    # the kernel takes a page that was away for long for a new one, and reading that is no stall (mm/workingset.c).
    thrashers = board.start_thrashers(8, file_mib=board.limit_mib + 16)
    # Reclaim is enough for the first kill; what thrashers read for the first time is no stall.
    wait_until("tasks wait for memory", lambda: board.psi_total_us() > 500_000, 120)
    wait_for_kills(daemon, 1)
    assert locked_kb(daemon.pid) == 0
    # From here on nobody is to be killed, however long tasks wait for memory: no kill renews the waiting for calm.
    patient = PolicyConfig(thrashing_limit_pct=1 << 20, thrashing_limit_critical_pct=1 << 22, lowmem_min_adj=1001)
    board.write_root(str(tmp_path), Config(patient, board.monitor_config(**monitor)))
    assert daemon.ask(Verb.RELOAD).ok == 1
    # One look a second, calm after three: so much stall takes longer than that, and does not end before its time.
    began_us = board.psi_total_us()
    totals_us = [began_us] * 190
    with EventCounter(("syscalls:sys_enter_fdatasync",), daemon.pid) as syncs:
        while totals_us[-1] < began_us + 5_000_000:
            if (locked_kb(daemon.pid), *syncs.read()) != (0, 0):
                # A busy machine lets nobody wait for memory for two looks on end: that is calm, and no fault.
                assert totals_us[-1] - totals_us[-190] < 40_000, "it is back, or was synced, while tasks waited"
                assert totals_us[-1] - began_us > 1_000_000, "calm before there was pressure to speak of"
                break
            time.sleep(0.01)
            totals_us.append(board.psi_total_us())
    assert all(thrasher.is_alive() for thrasher in thrashers)
    board.stop_pressure()
    wait_until("the reserve is back", lambda: locked_kb(daemon.pid) == RESERVE_KB)
    assert daemon.status().layers & 7 == 7


@pytest.mark.pressure
def test_it_is_given_back_before_the_steward_opens_or_maps_anything(board: Sandbox, start: Start) -> None:
    """The order of the steward's own system calls, from the end of its sleep on."""
    wakes, gives = "syscalls:sys_exit_epoll_wait", "syscalls:sys_enter_munlock"
    needs = tuple(f"syscalls:sys_enter_{name}" for name in ("openat", "mmap", "brk", "write", "getdents64"))
    for number in range(3):
        board.start_app(f"cached-{number}", 901 + number, 4)
    daemon = start(board)
    events = (wakes, gives, *needs)
    filters = dict.fromkeys(events, f"common_pid=={daemon.pid}")
    with Observer(events, [daemon.pid], filters) as observer:
        board.start_thrashers(3)
        wait_until("it is given back", lambda: locked_kb(daemon.pid) == 0)
        wait_for_kills(daemon, 1)
        names = [event.name for event in observer.events() if event.name in events]
    at = names.index(gives)
    assert names[at - 1] == wakes, names[: at + 1]
    assert set(names[at:]) & set(needs), "the steward did nothing that needs memory"


def test_it_is_given_back_before_another_killer_is_forked(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    former = daemon.killer_pid
    with EventCounter(("syscalls:sys_enter_munlock",), daemon.pid) as given_back:
        os.kill(former, 9)
        wait_until("it is given back", lambda: sum(given_back.read()))
    wait_until("another killer", lambda: daemon.status().killer_pid not in (0, former))
    assert daemon.status().layers & 7 == 7, "the layer is there, being used"
    wait_until("the reserve is back", lambda: locked_kb(daemon.pid) == RESERVE_KB)


def test_a_reload_changes_its_size(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    for kb, layer in ((1024, 4), (0, 0)):
        board.write_root(str(tmp_path), Config(monitor=board.monitor_config(guarantee={"reserve_kb": kb})))
        assert daemon.ask(Verb.RELOAD).ok == 1
        assert (locked_kb(daemon.pid), daemon.status().layers & 4) == (kb, layer)


def test_a_reload_that_would_give_a_required_pool_up_is_refused(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board, "--require-layer=2")
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config(guarantee={"reserve_kb": 0})))
    assert "layer 2" in daemon.ask(Verb.RELOAD).text
    assert daemon.status().layers & 4 == 4
    wait_until("it is locked again", lambda: locked_kb(daemon.pid) == RESERVE_KB)


def test_a_limit_on_locked_memory_is_reported_and_not_fatal(board: Sandbox, tmp_path: Path) -> None:
    """Without CAP_IPC_LOCK: the killer cannot lock its memory either, and says so."""
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    bare = ("prlimit", "--memlock=65536", "setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock")
    daemon = Daemon(tmp_path, prefix=bare)
    try:
        assert noted(daemon).startswith("note private pool of 8192 kB refused: ")
        assert daemon.status().layers & 4 == 0
        assert locked_kb(daemon.pid) == 0
    finally:
        daemon.end()

"""Layer 3 behind the real daemon on a kernel without BTF: this one's is hidden from all of its processes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, PolicyConfig
from tests.daemon.driver import Daemon, wait_until
from tests.support import require

pytestmark = [pytest.mark.pressure, pytest.mark.slow]
SPARE_ALL = PolicyConfig(thrashing_limit_pct=1_000_000, thrashing_limit_critical_pct=3_000_000)  # rows 7 to 11 silent


def test_without_type_information_the_expendable_who_reclaim_die_in_the_stopped_daemons_stead(
    board: Sandbox, tmp_path: Path
) -> None:
    """The kernel's BTF is hidden from the whole daemon: its offsets come from experiments."""
    board.write_root(str(tmp_path), Config(SPARE_ALL, board.monitor_config(strike={"min_adj": 900})))
    hide = ("unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys/kernel/btf && exec "$@"', "sh")
    daemon = Daemon(tmp_path, prefix=hide)
    try:
        require(
            daemon.status().layers >> 3 & 1, "the strike in the kernel: BPF is refused here; see the daemon's notes"
        )
        assert "note strike in the kernel: current" in daemon.said
        assert "note offsets found by experiment (kernel without BTF)" in daemon.said
        idle = [board.start_app(f"idle-{adj}", adj, 0.5) for adj in (999, 950, 900)]
        for pid in (daemon.killer_pid, daemon.pid):
            os.kill(pid, signal.SIGSTOP)
        wanted = board.start_thrashers(1, adj=900)
        kept = [*board.start_thrashers(1, adj=899), *board.start_thrashers(1, adj=0)]
        wait_until("the expendable thrasher is dead", lambda: not wanted[0].is_alive(), 60)
        mark = board.psi_total_us()
        wait_until("the domain stalls on", lambda: board.psi_total_us() > mark + 500_000)
        assert all(app.is_alive() for app in (*idle, *kept))
        board.stop_pressure()
        for pid in (daemon.pid, daemon.killer_pid):
            os.kill(pid, signal.SIGCONT)
        wait_until("the strike is filed", lambda: daemon.status().kills >= 1)
        assert daemon.stop() == 0
    finally:
        daemon.end()
    (path,) = tmp_path.glob("traces/*/*.lmkt")
    trace = read_trace(path)
    (strike,) = trace.strikes
    assert (strike.pid, strike.adj) == (wanted[0].pid, 900)
    assert strike.rss_pages > 0
    assert any("by experiment" in note.text for note in trace.headers[0].layers[3].notes)

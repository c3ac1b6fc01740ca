"""Layer 0 where the whole system is guarded: no file on the path allocates when BPF counts direct reclaims."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, DiscoveryConfig, MonitorConfig, TraceConfig, TriggerConfig
from lmkd_py.kernel.sensing.perf import EventCounter
from tests.daemon.driver import Daemon, Trace, wait_until, write_config
from tests.daemon.exercise import EVENTS, nonzero
from tests.support import require

pytestmark = [pytest.mark.pressure, pytest.mark.slow, pytest.mark.all_suite]
WAKEUPS = 30


def test_wakeups_of_a_daemon_that_guards_the_whole_system_take_nothing(board: Sandbox, tmp_path: Path) -> None:
    """It only observes. The pressure is the board's: its tasks' stalls count in the system's PSI, too."""
    write_config(
        tmp_path,
        Config(
            monitor=MonitorConfig(
                triggers=TriggerConfig(psi_some_stall_ms=10),
                discovery=DiscoveryConfig(scan_min_adj=1000),
                trace=TraceConfig(every=1),
                observe=1,
            )
        ),
    )
    daemon = Daemon(tmp_path)
    try:
        (domain,) = [line for line in daemon.said if line.startswith("domain ")]
        require("direct reclaim by BPF" in domain, f"this kernel takes no BPF or hides kswapd: {daemon.said}")
        with EventCounter(EVENTS, daemon.killer_pid) as counter:
            board.start_thrashers(3)
            wait_until(f"{WAKEUPS} wakeups", lambda: daemon.status().records >= WAKEUPS, 90)
        board.stop_pressure()
        assert nonzero(counter) == {}
        assert daemon.stop() == 0
    finally:
        daemon.end()
    records = Trace(tmp_path).records
    assert len(records) >= WAKEUPS
    assert all(record.snapshot.nr_inactive_file_pages > 0 for record in records)
    Trace(tmp_path).assert_replays()

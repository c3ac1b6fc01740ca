"""What a daemon that is gone leaves in the kernel: after a clean stop nothing, after a crash a strike for one lease."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import layout
from tests.daemon.driver import Daemon, wait_until
from tests.daemon.strike_tools import (
    SPARE_ALL,
    crowd,
    dead_in_order,
    freeze,
    layer_of,
    loads_of,
    pins_of,
    stall_on,
    words_of,
)
from tests.support import require

pytestmark = [pytest.mark.pressure]
Start = Callable[..., Daemon]
LEASES = [
    pytest.param(400, {"lease_ms": 400, "gap_ms": 100}, id="400"),
    pytest.param(10_000, {"gap_ms": 500}, id="10000", marks=pytest.mark.soak),  # the default
]


@pytest.mark.slow
def test_a_clean_stop_disarms_at_once_and_leaves_nothing_in_the_kernel(board: Sandbox, start: Start) -> None:
    apps = crowd(board, 5)
    daemon = start(board, policy=SPARE_ALL)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    assert loads_of(daemon.root), "nothing is pinned"
    assert daemon.stop() == 0
    assert pins_of(daemon.root) == []
    board.start_thrashers(2)
    wait_until("the domain stalls", lambda: board.psi_total_us() > 500_000)
    assert all(app.is_alive() for app in apps)


@pytest.mark.slow
@pytest.mark.parametrize(("lease_ms", "limits"), LEASES)
def test_a_crash_leaves_it_armed_for_a_lease_and_no_longer(
    lease_ms: int, limits: dict[str, int], board: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = crowd(board, 30)
    daemon = start(board, policy=SPARE_ALL, strike=limits)
    require(layer_of(daemon), "the strike in the kernel: BPF is refused here")
    freeze(daemon)
    with words_of(daemon) as words:
        os.kill(daemon.killer_pid, signal.SIGKILL)
        daemon.kill()
        board.start_thrashers(2)
        wait_until("the kernel has struck", lambda: not apps[0].is_alive())
        wait_until("it has lapsed", lambda: words[layout.LAPSED])
        end_ns = words[layout.KICK] + lease_ms * 1_000_000
        assert words[layout.LAPSED] > end_ns
        before = [app.is_alive() for app in apps]
        stall_on(board)
        assert before == [app.is_alive() for app in apps]
        died = sum(not app.is_alive() for app in apps)
        assert died == words[layout.STRIKES]
    assert 1 <= died <= lease_ms // limits["gap_ms"] + 1
    assert dead_in_order(apps)
    board.stop_pressure()

    # The next daemon tells of it, and takes what was left out of the kernel.
    later = Daemon(tmp_path)
    wait_until("they are filed", lambda: later.status().kills == died)
    assert len(loads_of(tmp_path)) == 1
    assert later.stop() == 0
    whole = read_trace(next(tmp_path.glob("traces/*")))
    assert [strike.pid for strike in whole.strikes] == [app.pid for app in apps[:died]]
    times = [strike.monotonic_ns for strike in whole.strikes]
    assert end_ns - 5_000_000_000 < times[-1] <= end_ns  # in the second half of the default, too, and not beyond it
    assert pins_of(tmp_path) == []

"""While nobody guards the daemon goes before all that is not real-time; once a killer is live it takes turns again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon.__main__ import START
from lmkd_py.daemon.hurry import FOREMOST, USUAL
from tests.daemon.driver import Daemon
from tests.support import REPO_ROOT, needs_cgroup, require

# Says how nice the daemon is when it looks for the first of its modules that takes long to load, and ends there.
FINDER = """
import os, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == "lmkd_py.daemon.commands":
            print(os.getpriority(os.PRIO_PROCESS, 0), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Finder())
exec(sys.argv.pop(1))
"""


@pytest.mark.root("goes before other processes")
def test_a_daemon_goes_first_before_it_has_loaded_its_code() -> None:
    """On a busy machine loading took 0.6 s for 30 ms of CPU."""
    require(may_hurry(), "a machine whose root may raise its priority (CAP_SYS_NICE)")
    words = [sys.executable, "-I", "-S", "-E", "-c", FINDER, START, str(REPO_ROOT), "run", "--root", os.devnull]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == (f"{FOREMOST}\n", "")


def may_hurry() -> bool:
    program = f"import os; os.setpriority(os.PRIO_PROCESS, 0, {FOREMOST})"
    return subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, check=False).returncode == 0


@needs_cgroup
def test_once_a_killer_is_live_the_steward_takes_turns_with_all_others(
    board: Sandbox, start: Callable[..., Daemon]
) -> None:
    daemon = start(board)
    assert os.getpriority(os.PRIO_PROCESS, daemon.pid) == USUAL
    assert daemon.stop() == 0

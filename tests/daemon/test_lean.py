"""The armed daemon's stand-ins for typing and enum, and that it loads nothing dear: every import is paid twice."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config
from lmkd_py.daemon.__main__ import START
from tests.daemon.driver import Trace, wait_until
from tests.daemon.faults.pair import live_killers
from tests.imports import module_of, sources
from tests.support import REPO_ROOT

LEAN = [sys.executable, "-I", "-S", "-E", "-B", "-X", "no_debug_ranges"]
DEAR = {
    *("typing", "enum", "re", "socket", "signal", "dataclasses", "logging", "asyncio", "json", "argparse"),
    *("functools", "keyword", "reprlib", "contextlib", "subprocess", "pathlib", "hashlib", "traceback", "site"),
}


def probe(world: str) -> tuple[set[str], list[str]]:
    """Modules loaded and the facts about every value of the payload, in the `lean` or the `real` world."""
    program = REPO_ROOT / "tests" / "daemon" / "lean_probe.py"
    done = subprocess.run([*LEAN, str(program), str(REPO_ROOT), world], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded, *facts = done.stdout.splitlines()
    return set(loaded.split("\t")[1:]), facts


def test_every_value_of_the_payload_behaves_as_typing_and_enum_would_make_it() -> None:
    _, lean = probe("lean")
    _, real = probe("real")
    assert lean == real
    assert sum("\tfields\t" in fact for fact in lean) >= 25
    assert sum("\tmembers\t" in fact for fact in lean) >= 5


def test_the_whole_payload_under_the_stand_ins_loads_nothing_dear() -> None:
    loaded, _ = probe("lean")
    assert not loaded & DEAR
    left_out = {
        "lmkd_py.daemon.__main__",
        "lmkd_py.daemon.check",
        "lmkd_py.kernel.probe",
        "lmkd_py.kernel.sensing.perf",
    }
    payload = {module_of(path) for room in ("core", "kernel", "wire", "daemon") for path in sources(f"lmkd_py/{room}")}
    assert payload - loaded == {name for name in payload if name in left_out or "selftest" in name}


@pytest.mark.pressure
def test_both_armed_processes_import_nothing_dear_and_no_second_killer_imports_anything(
    board: Sandbox, tmp_path: Path
) -> None:
    # The interpreter itself tells every import of the steward and of the killer it forks, both on one stderr.
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config()))
    program = [*LEAN, "-X", "importtime", "-c", START, str(REPO_ROOT), "run", "--root", str(tmp_path)]
    app = board.start_app("cached-900", 900, 4)
    with (tmp_path / "said").open("wb") as said:
        daemon = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=said, env={"PATH": os.environ["PATH"]})
    try:
        wait_until("it is armed", lambda: (tmp_path / "ctl").exists() and Trace(tmp_path).noted("killer-started"))
        (former,) = live_killers(tmp_path)
        os.kill(former.pid, signal.SIGKILL)
        wait_until("another killer is live", lambda: any(each != former for each in live_killers(tmp_path)))
        board.start_hog(0, 100)
        wait_until("a kill has been made", lambda: not app.is_alive())
        daemon.send_signal(signal.SIGHUP)
    finally:
        daemon.terminate()
        assert daemon.wait(30) == 0
    told = re.findall(r"^import time:\s+\d+ \|\s+\d+ \|\s+(\S+)$", (tmp_path / "said").read_text(), re.M)
    imported = set(told)
    assert {"lmkd_py.daemon.steward.steward", "lmkd_py.daemon.killer.loop"} <= imported
    again = {name for name in imported if told.count(name) > 1}
    assert not {name for name in again if name.startswith(("lmkd_py.core", "lmkd_py.daemon"))}, (
        "nobody guards meanwhile"
    )
    assert not imported & DEAR
    loaded, _ = probe("lean")
    assert {name for name in imported if name.startswith("lmkd_py")} <= loaded

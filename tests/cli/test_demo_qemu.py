"""lmkctl demo on emulated ARM boards: the whole system under pressure, on kernels with different reclaim."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.analysis.trace import read_trace
from lmkd_py.wire.header import OOM_KILLS
from tests.support import REPO_ROOT

pytestmark = pytest.mark.board
PSI = {"psi some", "psi full"}
VMPRESSURE = {"vmpressure low", "vmpressure medium", "vmpressure critical"}
WORDS = ["demo", "--board", "qemu", "--seconds", "100"]
DEMO = [sys.executable, "-c", "from lmkd_py.cli import main; main()", *WORDS]


@pytest.mark.parametrize(
    ("profile", "triggers", "missing"),
    [
        ("board", PSI | VMPRESSURE, []),
        ("new", PSI, ["missing vmpressure: the domain has no v1 memory cgroup"]),  # and reclaims by generations (MGLRU)
        ("old", PSI | VMPRESSURE, []),  # no process_mrelease
        ("small", PSI | VMPRESSURE, []),
    ],
)
def test_the_demo_guards_a_whole_arm_board(
    tmp_path: Path, profile: str, triggers: set[str], missing: list[str]
) -> None:
    words = [*DEMO, "--profile", profile, "-o", str(tmp_path)]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "NO:" not in done.stdout
    assert re.search(r"^replay: \d+ wakeups, \d+ kills, 0 differences$", done.stdout, re.MULTILINE)
    assert re.search(r"^survived: .*foreground-0$", done.stdout, re.MULTILINE)

    (path,) = tmp_path.glob("*/*/*/*.lmkt")
    trace = read_trace(path)
    header = trace.headers[0]
    assert header.machine == "aarch64"
    # The kick is there as well where the kernel takes our BPF program; that has tests of its own.
    assert {line.partition(":")[0] for line in header.triggers} - {"bpf kick"} == triggers
    # A board's root may have windows of any length; here it is not stretched to two seconds.
    assert any(line.endswith("in 1000 ms") for line in header.triggers)
    # What the kernel lacks is said at the start, on the terminal and in the trace, and nothing else is.
    (started,) = (note.text for note in trace.notes if note.kind == "killer-started")
    assert [line for line in started.split("; ") if line.startswith("missing ")] == missing
    assert re.findall(r"^lmkd-py: (missing .*)$", done.stdout, re.MULTILINE) == missing
    # The kernel's own kills are counted in the trace: there is a count, and it is 0.
    assert [note.number for note in trace.notes if note.kind == OOM_KILLS] == [0]
    assert trace.oom_kills == 0
    tiers = {traced.record.outcome.adj // 100 for traced in map(trace.records.__getitem__, trace.kills)}
    assert len(trace.kills) >= 10
    assert len(tiers) >= 3
    assert "Out of memory" not in (tmp_path / "console.log").read_text()

"""`lmkd-py selftest`: shows the guarantee on this machine, fails where it does not hold, and leaves nothing behind."""

from __future__ import annotations

import errno
import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.core.config import GuaranteeConfig, MonitorConfig
from lmkd_py.daemon.inherited import EXIT_BAD_CONFIG, EXIT_KERNEL_LACKS
from lmkd_py.daemon.selftest import __main__ as program
from lmkd_py.daemon.selftest import load, tested_daemon, verdict
from lmkd_py.daemon.selftest.machine import Machine
from lmkd_py.daemon.selftest.phases import Counts, Frozen
from lmkd_py.kernel.sensing.mounts import cgroup_v2_root, memcg_v1_root
from tests.daemon.driver import wait_until
from tests.daemon.lacking import with_private_mounts, without_syscall
from tests.support import REPO_ROOT, needs_cgroup

SELFTEST = [sys.executable, "-m", "lmkd_py.daemon", "selftest"]
pressure = pytest.mark.pressure


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SELFTEST, *words], cwd=REPO_ROOT, capture_output=True, text=True, timeout=300, **options)


def leftovers(pid: int | None = None) -> list[str]:
    """What a selftest (of that pid) has made and not removed."""
    name = f"*selftest[-_]{pid or '*'}"
    tops = [Path(top) for top in (memcg_v1_root(), cgroup_v2_root(), *load.PLACES) if top and os.path.isdir(top)]
    return [str(path) for top in tops for path in top.glob(name.replace("*selftest", "lmkd*selftest"))]


@pressure
def test_all_that_is_supported_here_holds_and_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    with subprocess.Popen([*SELFTEST, "--json", "--seconds", "12"], cwd=REPO_ROOT, stdout=subprocess.PIPE) as process:
        output, _ = process.communicate(timeout=300)
    found = json.loads(output)
    assert process.returncode == 0, found["words"]
    assert found["wrong"] == []
    assert found["uncounted"] == ""
    for phase, number in (("quiet", "wakeups"), ("busy", "kills")):
        assert found[phase][number] > 0
        assert found[phase]["events"] == {}
        assert found[phase]["major_faults"] == 0
    assert found["latency_us"]["kills"] >= found["busy"]["kills"]  # one may be of the pressure's last moment
    assert 0 < found["latency_us"]["p50"] <= found["latency_us"]["p99"] <= found["latency_us"]["max"]
    layers = found["layers"]
    assert [layer["layer"] for layer in layers] == [0, 1, 2, 3, 4]
    assert all(layer["active"] == layer["supported"] and bool(layer["why"]) != layer["active"] for layer in layers)
    assert [layer["active"] for layer in layers][:3] == [True, True, True]
    if layers[3]["active"]:
        assert found["strike"]["struck"] == sorted(found["strike"]["struck"], reverse=True)
        assert found["strike"]["filed"] == len(found["strike"]["struck"]) >= found["strike"]["listed"]
    assert (
        found["words"][-1] == f"verdict: layers {' '.join(str(n) for n in range(5) if layers[n]['active'])} hold here"
    )
    assert leftovers(process.pid) == []


@pressure
@pytest.mark.all_suite
def test_a_killer_that_allocates_fails_it() -> None:
    done = run("--negative-control", "--seconds", "8")
    assert done.returncode == 1
    assert "WRONG: layer 0 does not hold: the killer took memory in" in done.stdout
    assert done.stdout.splitlines()[-1] == "verdict: the guarantee does not hold here"


@pressure
@pytest.mark.all_suite
@pytest.mark.parametrize("words", [(), ("--negative-control",)])
def test_where_nothing_can_be_counted_layer_0_is_not_shown_and_it_fails(words: tuple[str, ...]) -> None:
    refused = without_syscall("perf_event_open", errno.EACCES)
    done = run("--seconds", "2", *words, preexec_fn=refused)
    assert done.returncode == 1, done.stdout
    assert "layer 0 NOT TESTED" in done.stdout
    assert "layer 0 active" not in done.stdout
    (wrong,) = [line for line in done.stdout.splitlines() if line.startswith("WRONG: layer 0")]
    for said in (
        "was not tested, because nothing could be counted",
        "perf_event_open",
        "Permission denied",
        "perf_event_paranoid",
    ):
        assert said in wrong
    assert done.stdout.splitlines()[-1].startswith("verdict: the guarantee ")


VMSTAT = "each sample reads /proc/vmstat (no NUMA node reports refaults), which allocates"
BUFFERS = {"kmem:kmalloc": 18, "kmem:mm_page_alloc": 1}
OPENED = {"kmem:kmalloc": 36, "kmem:kmem_cache_alloc": 18}


@pytest.mark.parametrize(
    ("lacking", "uncounted", "took", "says", "wrong", "ends"),
    [
        ("", "", {}, "active", "", "verdict: layers 0 1 2 hold here"),
        (
            "",
            "perf: Permission denied",
            {},
            "NOT TESTED",
            "nothing could be counted: perf: Perm",
            "was not tested here: ",
        ),
        ("", "", BUFFERS, "active", "layer 0 does not hold", "verdict: the guarantee does not hold here"),
        (VMSTAT, "", BUFFERS, "not here", "", "verdict: layers 1 2 hold here"),
        (VMSTAT, "", OPENED, "not here", "layer 0 does not hold", "verdict: the guarantee does not hold here"),
        (
            VMSTAT,
            "perf: Permission denied",
            {},
            "not here",
            "nothing could be counted: perf: Perm",
            "was not tested here: ",
        ),
    ],
)
def test_layer_0_is_what_the_machine_allows_and_what_was_counted(
    lacking: str, uncounted: str, took: dict[str, int], says: str, wrong: str, ends: str
) -> None:
    here = Machine((lacking, "", "", "no BPF", "no module"), "", (), (), uncounted, False)
    counts = Counts(took, 9, 9, 0, 0, 0)
    found: dict[str, Any] = {
        "group": "/g",
        "limit_mib": 64,
        "kernel": "Linux",
        "python": "3.11",
        "access_faults": False,
        "layers": verdict.layers(0b110 if lacking else 0b111, here, []),
        "uncounted": uncounted,
        "variant": "",
        "pool_given_back": True,
        "quiet": counts._asdict(),
        "busy": counts._asdict(),
        "strike": None,
        "oom_kills": 0,
        "latency_us": {"kills": 9, "p50": 1.0, "p99": 1.0, "max": 1.0},
    }
    found["wrong"] = verdict.judge(found, counts, counts, None)
    assert bool(found["wrong"]) == bool(wrong)
    assert all(wrong in sentence for sentence in found["wrong"])
    lines = verdict.lines(found)
    assert any(line.startswith(f"layer 0 {says} ") and lacking in line for line in lines)
    assert ends in lines[-1]


@pressure
@pytest.mark.all_suite
@pytest.mark.parametrize(("words", "code"), [((), 0), (("--negative-control",), 1)])
def test_where_samples_allocate_layer_0_is_not_here_and_careless_killers_still_fail(
    words: tuple[str, ...], code: int, tmp_path: Path
) -> None:
    zoneinfo = tmp_path / "zoneinfo"  # of a kernel without NUMA that tells of no refaults there either
    zoneinfo.write_text(Path("/proc/zoneinfo").read_text().replace("workingset_refault", "workingset_other"))
    hidden = with_private_mounts(["/sys/devices/system/node"], [], {"/proc/zoneinfo": str(zoneinfo)})
    done = run("--seconds", "8", *words, preexec_fn=hidden)
    assert done.returncode == code, done.stdout
    assert f"layer 0 not here   the kill path allocates nothing: {VMSTAT}" in done.stdout


@pytest.mark.all_suite
@pressure
@pytest.mark.alone  # what other daemons take of real-time quota changes why layer 1 is not active
def test_a_layer_that_is_supported_and_not_active_fails_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    without = GuaranteeConfig(lock_memory=0, reserve_kb=0)
    monkeypatch.setattr(tested_daemon, "MonitorConfig", functools.partial(MonitorConfig, guarantee=without))
    assert program.main(["--seconds", "8"]) == 1
    said = capsys.readouterr().out
    assert "layer 1 NOT ACTIVE" in said
    assert "WRONG: layer 1 is not active, though this machine supports it: lock_memory 0" in said
    assert "WRONG: layer 2 is not active, though this machine supports it: reserve_kb 0" in said


@pressure
def test_killed_in_the_middle_it_leaves_neither_group_nor_daemon_nor_file() -> None:
    with subprocess.Popen([*SELFTEST, "--seconds", "60"], cwd=REPO_ROOT, stdout=subprocess.DEVNULL) as process:
        wait_until("it is at work", lambda: len(leftovers(process.pid)) >= 2 and _killers(process.pid))
        killers = _killers(process.pid)
        process.send_signal(signal.SIGKILL)
    wait_until("all of it is gone", lambda: not leftovers(process.pid))
    wait_until("its killer is gone", lambda: not any(Path(f"/proc/{pid}").exists() for pid in killers))


def _killers(pid: int) -> list[int]:
    for place in load.PLACES:
        path = Path(place, f"lmkd-selftest-{pid}", "root", "killers")
        if path.exists():
            return [int(line.split()[0]) for line in path.read_text().splitlines() if line.strip()]
    return []


@needs_cgroup
def test_where_files_lie_in_memory_only_it_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "file_system_of", lambda path: "tmpfs")
    monkeypatch.delenv("TMPDIR", raising=False)
    assert program.main(["--seconds", "2"]) == EXIT_KERNEL_LACKS


def test_bad_words_are_refused_in_one_line() -> None:
    for words, text in (
        (("--seconds", "0"), "--seconds: found '0', wanted a number from 1 to 3600"),
        (("--seconds",), "--seconds: found '', wanted"),
        (("--seconds=x",), "--seconds: found 'x', wanted"),
        (("--jsn",), "found '--jsn', wanted --seconds S, --json or --negative-control"),
    ):
        done = run(*words)
        assert done.returncode == EXIT_BAD_CONFIG
        assert done.stderr.startswith(f"lmkd-py: {text}")


@pytest.mark.parametrize(
    ("struck", "variant", "says"),
    [
        ((), "list", "killed nobody"),
        ((949, 950), "list", "in another order"),
        ((950, 949), "list", "2 of 3 were killed"),
        ((900,), "current", ""),
    ],
)
def test_a_strike_that_did_not_go_as_it_should_is_named(struck: tuple[int, ...], variant: str, says: str) -> None:
    frozen = Frozen(3, struck, 1.0, len(struck), 0)
    wrong = verdict._judge_strike(frozen, variant)
    assert (says in "".join(wrong)) if says else wrong == []
    assert "processes died that had to live" in "".join(verdict._judge_strike(frozen._replace(wrong=1), variant))
    if struck:
        assert "are in the trace" in "".join(verdict._judge_strike(frozen._replace(filed=0), variant))

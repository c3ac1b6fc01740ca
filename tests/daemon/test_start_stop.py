"""How the daemon starts, refuses to start and stops: one line that says what to do, and an exit code for scripts."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, DomainKind, MonitorConfig, PolicyConfig
from lmkd_py.daemon import inherited
from lmkd_py.kernel.mounts import memcg_v1_root
from lmkd_py.wire.config import encode_config
from tests.daemon.driver import Daemon, Trace, is_killer, wait_until, write_config
from tests.daemon.lacking import with_private_mounts, without_syscall
from tests.daemon.lean_probe import modules
from tests.support import REPO_ROOT

Start = Callable[..., Daemon]
Done = subprocess.CompletedProcess[str]


def lmkd_py(*words: str, preexec: Callable[[], None] | None = None) -> Done:
    """One `lmkd-py` that ends by itself."""
    return subprocess.run(
        [sys.executable, "-m", "lmkd_py.daemon", *words],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=preexec,
    )


def run(root: Path, preexec: Callable[[], None] | None = None) -> Done:
    """A `run` that is expected to refuse; should it start all the same, it only observes."""
    return lmkd_py("run", "--observe", "--root", str(root), preexec=preexec)


def assert_refused(done: Done, code: int, *words: str) -> None:
    """That exit code, and one line on stderr that holds these words."""
    assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
    assert done.stdout == ""
    assert done.stderr.startswith("lmkd-py: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert done.stderr.endswith("\n")
    for word in words:
        assert word in done.stderr, done.stderr


# -- the state root and what it holds -----------------------------------------------------------------------------


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\x0a\x7f", os.urandom(64) + b"\xff"])
def test_a_config_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.bin").write_bytes(data)
    assert_refused(run(tmp_path), inherited.EXIT_BAD_CONFIG, str(tmp_path / "config.bin"))
    assert_refused(lmkd_py("check", "--root", str(tmp_path)), inherited.EXIT_BAD_CONFIG, "config.bin")


@pytest.mark.parametrize(
    ("config", "name", "wanted"),
    [
        (Config(policy=PolicyConfig(thrashing_limit_decay_pct=101)), "thrashing_limit_decay_pct", "101"),
        (Config(monitor=MonitorConfig(ring_slots=4)), "monitor.ring_slots", "from 8 to 65536"),
        (Config(monitor=MonitorConfig(domain_kind=DomainKind.MEMCG_V1)), "monitor.domain_path", "the directory"),
        (Config(monitor=MonitorConfig(psi_some_stall_ms=1001)), "psi_some_stall_ms", "at most its window of 1000 ms"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_was_wanted(
    tmp_path: Path, config: Config, name: str, wanted: str
) -> None:
    (tmp_path / "config.bin").write_bytes(encode_config(config))
    assert_refused(run(tmp_path), inherited.EXIT_BAD_CONFIG, str(tmp_path / "config.bin"), name, wanted)


def test_a_config_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.bin").mkdir()
    assert_refused(run(tmp_path), inherited.EXIT_BAD_CONFIG, str(tmp_path / "config.bin"), "directory")


def test_a_state_root_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_refused(run(tmp_path / "file" / "root"), inherited.EXIT_BAD_CONFIG, "state root", "--root DIR")
    assert_refused(run(tmp_path / "file"), inherited.EXIT_BAD_CONFIG, "state root", "--root DIR")


@pytest.mark.pressure
@pytest.mark.parametrize("name", ["traces", "ctl"])
def test_a_state_root_in_which_something_is_in_the_way_is_refused_and_leaves_no_killer(
    board: Sandbox, tmp_path: Path, name: str
) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    if name == "traces":
        (tmp_path / name).write_text("")
    else:
        (tmp_path / name).mkdir()
    assert_refused(run(tmp_path), inherited.EXIT_BAD_CONFIG, str(tmp_path), name)
    assert daemons_on(tmp_path) == []


def daemons_on(root: Path) -> list[str]:
    """Pids of all daemon processes of a state root."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"run" in words and os.fsencode(root) in words:
            found.append(path.parent.name)
    return found


# -- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "wanted a command"),
        (("guard",), "found 'guard', wanted run, check or status"),
        (("run", "--fast"), "run: found '--fast', wanted --observe or --root DIR"),
        (("run", "--observe", "-x"), "run: found '-x', wanted --observe or --root DIR"),
        (("status", "--observe"), "status: found '--observe', wanted --root DIR"),
        (("check", "now"), "found 'now' after 'check', wanted options"),
        (("run", "--root"), "--root: found nothing, wanted a directory"),
    ],
)
def test_unknown_words_are_named_and_the_usage_follows(words: tuple[str, ...], told: str) -> None:
    done = lmkd_py(*words)
    assert done.returncode == inherited.EXIT_BAD_CONFIG
    assert done.stdout == ""
    first, second, *_ = done.stderr.splitlines()
    assert first == f"lmkd-py: {told}"
    assert second.startswith("usage: lmkd-py COMMAND")
    assert "Traceback" not in done.stderr


def test_help_is_no_error() -> None:
    done = lmkd_py("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "exit codes:" in done.stdout


def test_status_without_a_daemon_says_how_to_start_one(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "nowhere"):
        assert_refused(lmkd_py("status", "--root", str(root)), 1, "no daemon", f"lmkd-py run --root {root}")
    (tmp_path / "ctl").write_text("left behind")
    assert_refused(lmkd_py("status", "--root", str(tmp_path)), 1, "does not answer")


# -- the machine ----------------------------------------------------------------------------------------------------


def test_a_domain_that_is_not_there_is_named(tmp_path: Path) -> None:
    gone = f"{memcg_v1_root() or '/sys/fs/cgroup'}/lmkd_nowhere"
    kind = DomainKind.MEMCG_V1 if memcg_v1_root() else DomainKind.CGROUP_V2
    write_config(tmp_path, Config(monitor=MonitorConfig(domain_kind=kind, domain_path=gone)))
    assert_refused(run(tmp_path), inherited.EXIT_DOMAIN_GONE, gone, "no such directory")


@pytest.mark.pressure
def test_a_domain_that_goes_away_ends_the_daemon(start: Start, tmp_path: Path) -> None:
    with Sandbox(limit_mib=64) as board:
        daemon = start(board)
    assert daemon.process.wait(30) == inherited.EXIT_DOMAIN_GONE
    assert daemon.process.stderr is not None
    said = daemon.process.stderr.read()
    assert said == f"lmkd-py: {board.place.memory}: the guarded domain is gone\n"
    assert not is_killer(daemon.killer_pid)
    assert Trace(tmp_path).noted("stopped")


def test_a_kernel_without_pidfd_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, without_syscall("pidfd_open"))
    assert_refused(done, inherited.EXIT_KERNEL_LACKS, "kernel without pidfd", "Linux 5.3")


@pytest.mark.pressure
def test_a_kernel_without_psi_and_vmpressure_is_named(tmp_path: Path) -> None:
    hidden = with_private_mounts(["/proc/pressure"], [path for path in [memcg_v1_root()] if path])
    done = run(tmp_path, hidden)
    assert_refused(done, inherited.EXIT_KERNEL_LACKS, "no trigger", "psi some", "psi full", "vmpressure")


@pytest.mark.pressure
def test_a_kernel_without_psi_is_guarded_by_the_other_triggers(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board, domain_psi_path="")
    assert [line for line in daemon.said if line.startswith("missing psi")]
    assert not [trigger for trigger in daemon.status().triggers if "psi" in trigger]
    apps = [board.start_app(f"cached-{900 + number}", 900 + number, 8) for number in range(4)]
    wait_until("they are found", lambda: board.usage_kb() > 30_000)
    board.start_hog(0, 100)
    wait_until("one of them is dead", lambda: not all(app.is_alive() for app in apps))
    board.stop_pressure()
    assert daemon.stop() == 0
    assert all(kill.snapshot.psi_mem_some_total_us == -1 for kill in Trace(tmp_path).kills)


# -- rights ---------------------------------------------------------------------------------------------------------

# The interpreter and the checkout may lie where nobody else can read: everything is loaded before the rights go.
NOBODY = 65534
AS_NOBODY = (
    "import sys, os; sys.path.insert(0, sys.argv.pop(1)); from lmkd_py.daemon import lean; lean.install();"
    "[__import__(name) for name in sys.argv.pop(1).split()];"
    f"os.setgroups([]); os.setgid({NOBODY}); os.setuid({NOBODY});"
    "from lmkd_py.daemon.commands import main; main(sys.argv[1:])"
)


@pytest.fixture
def open_root() -> Iterator[Path]:
    """A state root that everybody can reach (pytest's own directories are closed) and nobody owns."""
    path = Path(tempfile.mkdtemp(prefix="lmkd_h_"))
    os.chown(path, NOBODY, NOBODY)
    yield path
    shutil.rmtree(path)


def run_as_nobody(root: Path) -> Done:
    payload = " ".join(modules(str(REPO_ROOT / "lmkd_py")))
    lean = [sys.executable, "-I", "-S", "-E", "-B", "-c", AS_NOBODY, str(REPO_ROOT), payload]
    command = [*lean, "run", "--observe", "--root", str(root)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.pressure
def test_without_rights_on_the_domain_the_line_says_permission(board: Sandbox, open_root: Path) -> None:
    write_config(open_root, Config(monitor=board.monitor_config()))
    done = run_as_nobody(open_root)
    assert_refused(done, inherited.EXIT_NO_PERMISSION, "no permission", board.place.memory, "run as root")


@pytest.mark.pressure
def test_without_rights_on_the_state_root_the_line_names_it(open_root: Path) -> None:
    os.chown(open_root, 0, 0)
    open_root.chmod(0o755)
    assert_refused(run_as_nobody(open_root), inherited.EXIT_NO_PERMISSION, f"state root {open_root}", "--root DIR")


# -- one at a time ----------------------------------------------------------------------------------------------------


@pytest.mark.pressure
def test_a_second_daemon_on_the_same_root_is_refused(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    assert_refused(run(tmp_path), inherited.EXIT_ALREADY_RUNNING, "another lmkd-py", f"status --root {tmp_path}")
    assert daemon.status().armed
    assert daemon.stop() == 0
    assert not (tmp_path / "ctl").exists()


@pytest.mark.pressure
def test_of_two_daemons_started_at_once_one_wins(board: Sandbox, tmp_path: Path) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    for _ in range(5):
        both = [Daemon(tmp_path, wait=False) for _ in range(2)]
        try:
            wait_until("one gave up", lambda: any(each.process.poll() is not None for each in both))
            loser, winner = sorted(both, key=lambda each: each.process.poll() is None)
            assert loser.process.returncode == inherited.EXIT_ALREADY_RUNNING
            winner._wait_armed()
            assert winner.status().steward_pid == winner.pid
            assert winner.stop() == 0
        finally:
            for each in both:
                each.end()


# -- the end ----------------------------------------------------------------------------------------------------------


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_under_pressure_leaves_no_torn_frame(
    board: Sandbox, start: Start, tmp_path: Path, number: signal.Signals
) -> None:
    board.start_thrashers(2, adj=0)
    records = 0
    for _ in range(5):
        for _ in range(4):
            board.start_app("cached-900", 900, 30)
        daemon = start(board)
        wait_until("it has something to do", lambda: Trace(tmp_path).records[records:])
        os.kill(daemon.pid, number)
        assert daemon.process.wait(30) == 0
        assert not is_killer(daemon.killer_pid)
        trace = Trace(tmp_path)
        own = [record for record in trace.records if record.killer_pid == daemon.killer_pid]
        assert [record.seq for record in own] == list(range(len(own)))
        records = len(trace.records)
    assert not trace.lost
    assert len(trace.noted("stopped")) == 5
    trace.assert_replays()


def context_switches(pids: tuple[int, ...]) -> int:
    """How often any thread of these processes has given up a CPU so far: as often as it was woken."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").iterdir():
            lines = (task / "status").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)
    return total


@pytest.mark.pressure
@pytest.mark.slow
def test_an_idle_domain_wakes_neither_process_in_ten_seconds(board: Sandbox, start: Start) -> None:
    for number in range(10):
        board.start_app(f"cached-{900 + number}", 900 + number, 4)
    daemon = start(board)
    pids = (daemon.pid, daemon.killer_pid)
    wait_until("arming has calmed down", lambda: _still(pids, 0.5))
    assert _still(pids, 10)


def _still(pids: tuple[int, ...], seconds: float) -> bool:
    from time import sleep

    before = context_switches(pids)
    sleep(seconds)
    return context_switches(pids) == before


@pytest.mark.pressure
def test_a_state_root_deeper_than_a_socket_address_works(board: Sandbox, tmp_path: Path) -> None:
    root = tmp_path.joinpath(*["a-rather-long-directory-name"] * 6)
    assert len(str(root)) > 160
    write_config(root, Config(monitor=board.monitor_config()))
    daemon = Daemon(root)
    try:
        assert daemon.status().armed
        assert daemon.stop() == 0
    finally:
        daemon.end()

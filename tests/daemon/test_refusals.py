"""Why the daemon does not start: one line that names what was found, and an exit code for scripts."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import (
    Config,
    DomainConfig,
    DomainKind,
    MonitorConfig,
    PolicyConfig,
    TraceConfig,
    TriggerConfig,
)
from lmkd_py.core.mountinfo import is_v1
from lmkd_py.core.vocabulary import NoteKind, PolicyKind
from lmkd_py.daemon import inherited
from lmkd_py.kernel.sensing.mounts import memcg_v1_root, mounts
from lmkd_py.wire.config import encode_config
from lmkd_py.wire.sentences import sentence
from tests.daemon.driver import Daemon, Trace, write_config
from tests.daemon.lacking import with_private_mounts, without_syscall
from tests.daemon.lean_probe import modules
from tests.daemon.program import Done, assert_refused, daemons_on, lmkd_py, run
from tests.support import REPO_ROOT, needs_cgroup, require

NODES = "/sys/devices/system/node"

# -- the state root and what it holds -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data", [b"\xff\xff\xff\xff", b"\x0a\x7f", os.urandom(64) + b"\xff"], ids=["ff", "short", "any"]
)
def test_a_config_that_is_none_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "config.bin").write_bytes(data)
    assert_refused(run(tmp_path), inherited.EXIT_BAD_CONFIG, str(tmp_path / "config.bin"))
    assert_refused(lmkd_py("check", "--root", str(tmp_path)), inherited.EXIT_BAD_CONFIG, "config.bin")


@pytest.mark.parametrize(
    ("config", "name", "wanted"),
    [
        (Config(policy=PolicyConfig(thrashing_limit_decay_pct=101)), "thrashing_limit_decay_pct", "101"),
        (Config(monitor=MonitorConfig(trace=TraceConfig(ring_slots=4))), "monitor.trace.ring_slots", "from 8 to 65536"),
        (
            Config(monitor=MonitorConfig(domain=DomainConfig(kind=DomainKind.MEMCG_V1))),
            "monitor.domain.path",
            "the directory",
        ),
        (
            Config(monitor=MonitorConfig(triggers=TriggerConfig(psi_some_stall_ms=1001))),
            "psi_some_stall_ms",
            "at most its window of 1000 ms",
        ),
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


@needs_cgroup
def test_a_state_root_in_which_something_is_in_the_way_is_refused_and_leaves_no_killer(
    board: Sandbox, tmp_path: Path
) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    (tmp_path / "ctl").mkdir()
    assert_refused(run(tmp_path), inherited.EXIT_BAD_CONFIG, str(tmp_path), "ctl")
    assert daemons_on(tmp_path) == []


@needs_cgroup
def test_what_is_in_the_way_of_the_traces_is_named_and_keeps_nobody_from_guarding(
    board: Sandbox, tmp_path: Path
) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    (tmp_path / "traces").write_text("")
    daemon = Daemon(tmp_path, "--observe")
    try:
        status = daemon.status()
        assert status.armed
        assert status.filing.startswith(f"{tmp_path}/traces: found something else, wanted a directory")
        assert daemon.stop() == 0
    finally:
        daemon.end()


# -- words ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "wanted a command"),
        (("guard",), "found 'guard', wanted run, stop, check or status"),
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
    write_config(tmp_path, Config(monitor=MonitorConfig(domain=DomainConfig(kind=kind, path=gone))))
    checked = lmkd_py("check", "--root", str(tmp_path))
    assert (checked.returncode, checked.stderr.count("\n")) == (inherited.EXIT_DOMAIN_GONE, 1)
    assert f"memory domain {gone}: no such directory" in checked.stderr


def test_a_kernel_without_pidfd_is_named(tmp_path: Path) -> None:
    done = run(tmp_path, without_syscall("pidfd_open"))
    assert_refused(done, inherited.EXIT_KERNEL_LACKS, "kernel without pidfd", "Linux 5.3")


@needs_cgroup
def test_a_kernel_without_psi_and_vmpressure_is_named(tmp_path: Path) -> None:
    # All of them: some machines have the hierarchy in two places.
    hidden = with_private_mounts(["/proc/pressure"], [each.point for each in mounts() if is_v1(each, "memory")])
    done = run(tmp_path, hidden)
    assert_refused(done, inherited.EXIT_KERNEL_LACKS, "no trigger", "psi some", "psi full", "vmpressure")


@needs_cgroup
@pytest.mark.parametrize("kind", [PolicyKind.AOSP_MENDED, PolicyKind.AOSP_EXACT], ids=["mended", "exact"])
def test_check_lists_the_triggers_of_the_policy(board: Sandbox, tmp_path: Path, kind: PolicyKind) -> None:
    require(board.place.psi and memcg_v1_root(), "a v1 memory cgroup with a v2 twin that has PSI")
    board.write_root(str(tmp_path), Config(PolicyConfig(kind=kind), board.monitor_config()))
    checked = lmkd_py("check", "--root", str(tmp_path)).stdout
    assert "\ntrigger: psi some" in checked
    assert ("\ntrigger: vmpressure" in checked) == (kind != PolicyKind.AOSP_EXACT)


@needs_cgroup
def test_a_whole_system_whose_samples_allocate_has_no_layer_0(tmp_path: Path) -> None:
    hidden, why = without_syscall("bpf"), "/proc/vmstat (no BPF program counts direct reclaims)"
    refused = lmkd_py("run", "--observe", "--root", str(tmp_path), "--require-layer", "0", preexec=hidden)
    assert_refused(refused, inherited.EXIT_KERNEL_LACKS, f"layer 0 is not active (each sample reads {why}", "BPF")
    checked = lmkd_py("check", "--root", str(tmp_path), preexec=hidden)
    assert f"\nmissing: each sample reads {why}" in checked.stdout
    for nodes in (None, with_private_mounts([NODES], [])):
        checked = lmkd_py("check", "--root", str(tmp_path), preexec=nodes)
        assert ("which allocates: no layer 0" in checked.stdout) == ("direct reclaim by BPF" not in checked.stdout)


@needs_cgroup
def test_a_system_whose_samples_allocate_is_guarded_without_layer_0(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path, "--observe", preexec=without_syscall("bpf"))
    try:
        said = "each sample reads /proc/vmstat (no BPF program counts direct reclaims), which allocates: no layer 0"
        assert any(line.endswith(f"note {said}") for line in daemon.said), daemon.said
        assert not daemon.status().layers & 1
        assert daemon.stop() == 0
    finally:
        daemon.end()
    layer = Trace(tmp_path).headers[0].layers[0]
    assert (layer.number, layer.active) == (0, 0)
    assert [sentence(note) for note in layer.notes if note.kind == NoteKind.SAMPLE_ALLOCATES] == [said]


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


@needs_cgroup
def test_without_rights_on_the_domain_the_line_says_permission(board: Sandbox, open_root: Path) -> None:
    write_config(open_root, Config(monitor=board.monitor_config()))
    os.chown(open_root / "config.bin", open_root.stat().st_uid, -1)  # it is nobody's own daemon
    done = run_as_nobody(open_root)
    assert_refused(done, inherited.EXIT_NO_PERMISSION, "no permission", board.place.memory, "run as root")


@needs_cgroup
def test_without_rights_on_the_state_root_the_line_names_it(open_root: Path) -> None:
    os.chown(open_root, 0, 0)
    open_root.chmod(0o755)
    assert_refused(run_as_nobody(open_root), inherited.EXIT_NO_PERMISSION, f"state root {open_root}", "--root DIR")


def test_a_killer_that_takes_too_long_to_arm_is_said_to_have_been_ended_for_it(tmp_path: Path) -> None:
    # Not through __main__, which starts another interpreter. The killer hangs: one that is quick is armed before a
    # steward that has lost its CPU looks for the first time.
    program = (
        "import sys, time\n"
        "from lmkd_py.daemon.killer import child; child.killer_main = lambda inherited: time.sleep(600)\n"
        "from lmkd_py.daemon.steward.killers import keeper; keeper.ARM_TIMEOUT_S = 0.2\n"
        "from lmkd_py.daemon.commands import main; main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", program, "run", "--observe", "--root", str(tmp_path)]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert_refused(done, inherited.EXIT_BROKEN, "the killer was not armed within 0.2 s and was ended")
    assert daemons_on(tmp_path) == []


# Where a shell starts the interpreter, as trixie's, the shell itself needs descriptor 10.
FEWEST = 8 if Path(sys.executable).read_bytes()[:4] == b"\x7fELF" else 11


@pytest.mark.parametrize("descriptors", [FEWEST, 12, 16, 24])
def test_too_few_descriptors_are_told_in_one_line(tmp_path: Path, descriptors: int) -> None:
    done = run(tmp_path, lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)))
    assert done.returncode == inherited.EXIT_BROKEN
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("lmkd-py: ")

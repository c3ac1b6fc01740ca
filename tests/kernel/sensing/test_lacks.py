"""What cannot be read or is never counted: gone without, and said at the start. Nothing optional is fatal."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.core.config import DomainConfig, DomainKind, MonitorConfig
from lmkd_py.core.notes import Note
from lmkd_py.core.snapshot import NO_OUTCOME, Snapshot
from lmkd_py.core.vocabulary import ABSENT, NoteKind
from lmkd_py.daemon.sight import hidden_processes
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from lmkd_py.kernel.sensing.procfs.hidden import Sight, sight
from lmkd_py.kernel.sensing.procfs.vmstat import node_paths
from lmkd_py.wire.sentences import sentence
from tests.kernel.trees import ARM_V1, ARM_V2, MONITORS, TREES, X86
from tests.support import REPO_ROOT

SYSTEM = MonitorConfig(domain=DomainConfig(kind=DomainKind.SYSTEM))
EVENTS = (b"pgscan", b"pgrefill", b"pgsteal", b"allocstall")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    shutil.copytree(TREES / X86, tmp_path / "tree")
    return tmp_path / "tree"


def refuse(monkeypatch: pytest.MonkeyPatch, name: str, error: int) -> None:
    """Opening a file whose path ends so fails."""
    real = os.open

    def opened(path: str, flags: int, mode: int = 0o777) -> int:
        if path.endswith(name):
            raise OSError(error, os.strerror(error), path)
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", opened)


def sampled(domain: Domain) -> Snapshot:
    return domain.sample(77, 1, 2, NO_OUTCOME, 1, 1)


@pytest.mark.parametrize("error", [errno.EACCES, errno.EPERM, errno.EOPNOTSUPP, errno.ENOENT, errno.EIO])
@pytest.mark.parametrize(
    ("shape", "monitor", "name"),
    [
        (X86, SYSTEM, "/pressure/io"),
        (X86, SYSTEM, "/pressure/cpu"),
        (X86, SYSTEM, "/pressure/memory"),
        (X86, SYSTEM, "/proc/vmstat"),
        (X86, SYSTEM, "/proc/zoneinfo"),
        (X86, MONITORS[X86], "/memory.pressure"),
        (X86, MONITORS[X86], "/io.pressure"),
        (X86, MONITORS[X86], "/node0/vmstat"),
        (X86, MONITORS[X86], "/memory.failcnt"),
        (ARM_V1, MONITORS[ARM_V1], "/apps/memory.memsw.usage_in_bytes"),
        (ARM_V2, MONITORS[ARM_V2], "/apps/memory.high"),
        (ARM_V2, MONITORS[ARM_V2], "/apps/memory.events"),
        (ARM_V2, MONITORS[ARM_V2], "/apps/memory.swap.max"),
        (ARM_V2, MONITORS[ARM_V2], "/apps/memory.swap.current"),
    ],
)
def test_a_file_that_can_be_done_without_is_left_out_with_a_note(
    monkeypatch: pytest.MonkeyPatch, shape: str, monitor: MonitorConfig, name: str, error: int
) -> None:
    refuse(monkeypatch, name, error)
    domain = open_domain(monitor, str(TREES / shape))
    assert [(lack.subject[-len(name) :], lack.errno) for lack in domain.lacks()] == [(name, error)]
    assert sentence(domain.lacks()[0]).endswith(f"{name}: {os.strerror(error)}; left out")
    assert sampled(domain).mem_free_kb > 0
    domain.close()


@pytest.mark.parametrize("text", [b"", b"\0\0\0", b"junk\n"])
@pytest.mark.parametrize(
    ("shape", "name"),
    [
        ("system", "proc/pressure/io"),
        ("system", "proc/pressure/memory"),
        ("system", "proc/vmstat"),
        ("system", "proc/zoneinfo"),
        (X86, "sys/fs/cgroup/unified/apps/cpu.pressure"),
        (X86, "sys/fs/cgroup/unified/apps/memory.pressure"),
        (X86, "sys/fs/cgroup/memory/apps/memory.failcnt"),
        (ARM_V2, "dev/cg2/apps.slice/apps/memory.events"),
        (ARM_V2, "dev/cg2/apps.slice/apps/memory.high"),
        (ARM_V2, "dev/cg2/apps.slice/memory.max"),
    ],
)
def test_a_file_that_is_masked_is_left_out_as_if_it_were_denied(
    tmp_path: Path, shape: str, name: str, text: bytes
) -> None:
    """A container manager puts /dev/null over what it hides, and systemd an empty file, which root may read."""
    monitor, source = (SYSTEM, X86) if shape == "system" else (MONITORS[shape], shape)
    shutil.copytree(TREES / source, tmp_path / "tree")
    (tmp_path / "tree" / name).write_bytes(text)
    domain = open_domain(monitor, str(tmp_path / "tree"))
    (lack,) = domain.lacks()
    assert lack.subject.endswith(name)
    assert sentence(lack).startswith(f"{tmp_path}/tree/{name}: ")
    assert sentence(lack).endswith("; left out")
    assert sampled(domain).mem_free_kb > 0
    domain.close()


@pytest.mark.root("mounts a file over one of /proc")
def test_nothing_is_written_into_a_file_that_stands_in_for_pressure(tmp_path: Path) -> None:
    """Asking for a trigger is a write; systemd's empty file for what is inaccessible is one for all services."""
    mask = tmp_path / "mask"
    mask.touch()
    ask = "from lmkd_py.kernel.probe import probe; found = probe(); print(found.psi, found.psi_short_window)"
    script = 'mount --make-rprivate /; mount --bind "$1" /proc/pressure/memory; shift; exec "$@"'
    command = ["unshare", "-m", "sh", "-ec", script, "sh", str(mask), sys.executable, "-c", ask]
    done = subprocess.run(command, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    assert (done.stdout, mask.read_bytes()) == ("0 0\n", b""), done.stderr


def test_where_numa_stat_is_masked_memory_stat_serves(tree: Path) -> None:
    (tree / "sys/fs/cgroup/memory/apps/memory.numa_stat").write_bytes(b"")
    domain = open_domain(MONITORS[X86], str(tree))
    assert sampled(domain).nr_active_file_pages > 0
    domain.close()


@pytest.mark.parametrize("error", [errno.ENOMEM, errno.EMFILE])
def test_what_may_be_there_a_moment_later_is_not_gone_without(monkeypatch: pytest.MonkeyPatch, error: int) -> None:
    refuse(monkeypatch, "/pressure/io", error)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=os.strerror(error)):
        open_domain(SYSTEM, str(TREES / X86))
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    ("monitor", "name"),
    [
        (SYSTEM, "/proc/meminfo"),
        (MONITORS[X86], "/memory.usage_in_bytes"),
        (MONITORS[X86], "/apps/memory.limit_in_bytes"),
    ],
)
def test_without_what_nothing_works_without_nothing_is_guarded(
    monkeypatch: pytest.MonkeyPatch, monitor: MonitorConfig, name: str
) -> None:
    refuse(monkeypatch, name, errno.EACCES)
    with pytest.raises(PermissionError):
        open_domain(monitor, str(TREES / X86))


@pytest.mark.parametrize("error", [errno.EACCES, errno.EIO, errno.EOPNOTSUPP])
def test_where_numa_stat_is_denied_memory_stat_serves(monkeypatch: pytest.MonkeyPatch, tree: Path, error: int) -> None:
    refuse(monkeypatch, "/apps/memory.numa_stat", error)
    domain = open_domain(MONITORS[X86], str(tree))
    assert sampled(domain).nr_active_file_pages > 0
    domain.close()


# -- what is never counted ----------------------------------------------------------------------------------------


def test_a_kernel_without_event_counters_says_that_reclaim_is_never_seen(tree: Path) -> None:
    vmstat = tree / "proc/vmstat"
    lines = [line for line in vmstat.read_bytes().splitlines(keepends=True) if not line.startswith(EVENTS)]
    vmstat.write_bytes(b"".join(lines))
    domain = open_domain(SYSTEM, str(tree))
    (lack,) = domain.lacks()
    assert lack == Note(kind=NoteKind.RECLAIM_UNCOUNTED, subject=str(vmstat))
    assert "vmstat: 0 of 3 counters of reclaim" in sentence(lack)
    assert "CONFIG_VM_EVENT_COUNTERS" in sentence(lack)
    assert sampled(domain).direct_progress == ABSENT
    domain.close()


def test_a_kernel_that_counts_everything_lacks_nothing() -> None:
    for monitor, shape in ((SYSTEM, X86), (MONITORS[X86], X86), (MONITORS[ARM_V2], ARM_V2)):
        domain = open_domain(monitor, str(TREES / shape))
        assert domain.lacks() == []
        domain.close()


# -- nodes without memory -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("has_memory", "wanted"),
    [
        ("0\n", [0]),
        ("0,2-3\n", [0, 2, 3]),
        ("1\n", [1]),
        ("", [0]),  # then zoneinfo tells
        ("x\n", [0]),
        ("9\n", [0, 1, 2, 3]),
    ],
)
def test_only_nodes_with_memory_count(tree: Path, has_memory: str, wanted: list[int]) -> None:
    """A node without memory has no kswapd: one for each node used to be looked for, in vain."""
    nodes = tree / "sys/devices/system/node"
    for number in (1, 2, 3):
        (nodes / f"node{number}").mkdir()
        shutil.copy(nodes / "node0/vmstat", nodes / f"node{number}/vmstat")
    (nodes / "has_memory").write_text(has_memory)
    assert node_paths(str(tree)) == [str(nodes / f"node{number}/vmstat") for number in wanted]


def test_where_nothing_tells_which_nodes_have_memory_all_count(tree: Path) -> None:
    nodes = tree / "sys/devices/system/node"
    shutil.copytree(nodes / "node0", nodes / "node1")
    (tree / "proc/zoneinfo").unlink()
    assert node_paths(str(tree)) == [str(nodes / f"node{number}/vmstat") for number in (0, 1)]


def test_with_nodes_without_memory_a_sample_of_the_whole_system_allocates_nothing(tree: Path) -> None:
    nodes = tree / "sys/devices/system/node"
    for number in range(1, 9):
        (nodes / f"node{number}").mkdir()
        (nodes / f"node{number}/vmstat").write_text("nr_inactive_file 0\nnr_active_file 0\nworkingset_refault_file 0\n")
    (nodes / "has_memory").write_text("0\n")
    domain = open_domain(SYSTEM, str(tree))
    domain.use_reclaims(memoryview(bytearray(8)).cast("Q"), 0)
    assert domain.allocating() == []
    domain.close()


# -- hidden processes ---------------------------------------------------------------------------------------------


def test_where_nobody_is_hidden_nothing_is_said() -> None:
    seen = sight()
    assert seen.option == ""
    assert 0 < seen.visible <= seen.processes
    assert hidden_processes() == []


ASK = (
    "import sys; sys.path.insert(0, sys.argv[1]); from lmkd_py.daemon.sight import hidden_processes;"
    "from lmkd_py.kernel.sensing.procfs.hidden import sight; from lmkd_py.wire.sentences import sentence; import os;"
    "os.setgroups([]); os.setgid(65534); os.setuid(65534);"
    "print(tuple(sight()), sentence(*hidden_processes()), sep='\\n')"
)


@pytest.mark.root("mounts /proc in a namespace")
@pytest.mark.parametrize("option", ["2", "invisible", "1", "noaccess"])
def test_processes_that_proc_hides_are_counted(option: str) -> None:
    script = f'mount --make-rprivate /; mount -t proc -o hidepid={option} proc /proc; exec "$@"'
    command = ["unshare", "-m", "sh", "-ec", script, "sh", sys.executable, "-c", ASK, str(REPO_ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    counts, words = done.stdout.splitlines()
    visible, processes, found = eval(counts)
    everybody = sight().processes
    assert 0 < visible < processes
    assert abs(processes - everybody) < everybody // 2  # others come and go
    assert found.startswith("hidepid=")
    assert f"{visible} of " in words
    assert "run as root" in words


# Somebody ends between the count and the look; more than one, so that nobody who comes makes up for them.
BUSY = (
    "import os, sys; sys.path.insert(0, sys.argv[1]); from lmkd_py.daemon.sight import hidden_processes;"
    "names = os.listdir; os.listdir = lambda path: names(path) + ['4194301', '4194302', '4194303'];"
    "exec(sys.argv[2]); print(hidden_processes() or 'nothing')"
)


@pytest.mark.root("mounts /proc in a namespace")
@pytest.mark.parametrize(
    ("options", "become"),
    [
        ("hidepid=2", ""),
        ("hidepid=2,gid=65534", "os.setgroups([]); os.setgid(65534); os.setuid(65534)"),
    ],
)
def test_who_may_see_everybody_is_told_nothing_however_processes_come_and_go(options: str, become: str) -> None:
    """Android mounts /proc with hidepid=2 and gid=readproc: root sees all, whatever two counts in a row come to."""
    script = f'mount --make-rprivate /; mount -t proc -o {options} proc /proc; exec "$@"'
    command = ["unshare", "-m", "sh", "-ec", script, "sh", sys.executable, "-c", BUSY, str(REPO_ROOT), become]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "nothing\n"


def test_a_tree_without_the_option_hides_nobody() -> None:
    assert sight(str(TREES / X86)).option == ""
    assert isinstance(sight(str(TREES / ARM_V1)), Sight)

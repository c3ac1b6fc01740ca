"""Layer 1: an armed killer is resident and first in line, and says what the machine refused."""

from __future__ import annotations

import mmap
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.protection.own_cgroup import give_rt_quota
from lmkd_py.kernel.sensing.mounts import cpu_v1_root, memcg_v1_root
from tests.daemon.driver import Daemon
from tests.daemon.exercise import Exerciser
from tests.support import needs_cgroup, require

pytestmark = needs_cgroup
Start = Callable[..., Daemon]

PRIORITY = 10
SCHED_FIFO = 1
MAJFLT, RT_PRIORITY, POLICY = 12, 40, 41  # fields of /proc/PID/stat, counted from 1
REAPER_STACK = 128 << 10
ROUNDS = 10  # of reclaiming everything there is: one may be undone by a wakeup of its own


def stat_field(task: Path, number: int) -> int:
    return int((task / "stat").read_text().rpartition(")")[2].split()[number - 3])


def tasks(pid: int) -> list[Path]:
    return sorted(Path(f"/proc/{pid}/task").iterdir())


def noted(daemon: Daemon, what: str) -> str:
    return next((line for line in daemon.said if line.startswith("note ") and what in line), "")


# -- first in line ---------------------------------------------------------------------------------------------------


def test_every_thread_of_the_killer_has_its_priority_and_small_locked_stacks(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    threads = tasks(daemon.killer_pid)
    assert len(threads) == 3
    assert {(stat_field(each, POLICY), stat_field(each, RT_PRIORITY)) for each in threads} == {(SCHED_FIFO, PRIORITY)}
    status = Path(f"/proc/{daemon.killer_pid}/status").read_text()
    assert int(status.partition("VmLck:")[2].split()[0]) > 5000
    sizes = []
    for line in Path(f"/proc/{daemon.killer_pid}/maps").read_text().splitlines():
        first, _, last = line.split()[0].partition("-")
        if line.split()[1] == "rw-p" and len(line.split()) == 5:
            sizes.append(int(last, 16) - int(first, 16))
    assert sizes.count(REAPER_STACK) >= 2


@pytest.mark.alone  # all daemons of the machine share one cpu cgroup
def test_the_killer_has_a_real_time_quota_of_its_own_or_says_why_not(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    note = noted(daemon, "cpu cgroup")
    top = cpu_v1_root("/")
    assert bool(note) == bool(top and Path(top, "cpu.rt_runtime_us").exists())
    if note.startswith("note cpu cgroup"):
        directory = Path(note.split()[3].rstrip(":"))
        assert str(daemon.killer_pid) in (directory / "cgroup.procs").read_text().split()
        assert str(daemon.pid) not in (directory / "cgroup.procs").read_text().split()
        quota = int((directory / "cpu.rt_runtime_us").read_text()), int((directory / "cpu.rt_period_us").read_text())
        assert quota == (80_000, 100_000)
        assert note.endswith("80 of 100 ms")
    assert {stat_field(each, POLICY) for each in tasks(daemon.killer_pid)} == {SCHED_FIFO}


@pytest.fixture
def busy_cpus() -> Iterator[None]:
    """Twice as many busy processes as there are CPUs."""
    hogs = [
        subprocess.Popen([sys.executable, "-I", "-S", "-c", "while True: pass"])
        for _ in range(2 * (os.cpu_count() or 1))
    ]
    yield
    for hog in hogs:
        hog.kill()
        hog.wait()


@pytest.mark.pressure
@pytest.mark.slow
def test_a_killer_first_in_line_hardly_waits_for_busy_cpus(busy_cpus: None) -> None:
    waited = {}
    for how in ("steady", "unhurried"):
        with Sandbox(limit_mib=64) as domain, Exerciser(domain, how) as killer:
            if note := next((line for line in killer.said if line.startswith("note cpu cgroup")), ""):
                assert not give_rt_quota(killer.killer_pid)  # as its steward does once it is live
                assert str(killer.killer_pid) in Path(note.split()[3].rstrip(":"), "cgroup.procs").read_text().split()
            before = run_delay_ns(killer.killer_pid)
            killer.ask("wake 1000", "woken")
            waited[how] = run_delay_ns(killer.killer_pid) - before
    assert waited["steady"] < waited["unhurried"], waited


def run_delay_ns(pid: int) -> int:
    """How long its main thread was runnable and did not run."""
    return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[1])


# -- what the machine gives and refuses ------------------------------------------------------------------------------


def test_the_oom_killer_is_kept_away_from_both_or_the_refusal_is_reported(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    adjs = {Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in (daemon.pid, daemon.killer_pid)}
    if noted(daemon, "oom_score_adj -1000 refused"):
        assert "-1000" not in adjs
    else:
        assert adjs == {"-1000"}
    assert daemon.status().layers & 3 == 3, "a refused oom_score_adj is no reason to give the layer up"


@pytest.mark.alone  # the machine has one such setting: another daemon that ends meanwhile puts it back
def test_compaction_leaves_locked_pages_alone_while_it_runs(board: Sandbox, start: Start) -> None:
    daemon = start(board)
    value = Path("/proc/sys/vm/compact_unevictable_allowed").read_text().strip()
    assert value == "0" or noted(daemon, "compact_unevictable_allowed 0 refused")


def test_a_daemon_started_under_a_memory_limit_leaves_it(board: Sandbox, start: Start) -> None:
    top = memcg_v1_root()
    require(top, "needs the v1 memory controller")
    outer = Path(top, f"lmkd_m_{os.getpid()}")
    inner = outer / "inner"
    own = Path("/proc/self/cgroup").read_text()
    home = next(line.split(":", 2)[2] for line in own.splitlines() if "memory" in line.split(":")[1].split(","))
    inner.mkdir(parents=True)
    try:
        (outer / "memory.limit_in_bytes").write_text(str(1 << 30))
        (inner / "cgroup.procs").write_text("0")
        daemon = start(board)
        for pid in (daemon.pid, daemon.killer_pid):
            assert ":memory:/\n" in Path(f"/proc/{pid}/cgroup").read_text()
        assert daemon.stop() == 0
    finally:
        Path(top + home, "cgroup.procs").write_text("0")
        inner.rmdir()
        outer.rmdir()


# -- required --------------------------------------------------------------------------------------------------------


def test_a_reload_that_would_give_up_a_required_layer_is_refused(board: Sandbox, start: Start, tmp_path: Path) -> None:
    from lmkd_py.core.config import Config
    from lmkd_py.wire.control import Verb

    daemon = start(board, "--require-layer=1")
    board.write_root(str(tmp_path), Config(monitor=board.monitor_config(guarantee={"rt_priority": 0})))
    assert "layer 1" in daemon.ask(Verb.RELOAD).text
    assert daemon.status().killer_pid == daemon.killer_pid
    assert daemon.stop() == 0


# -- resident --------------------------------------------------------------------------------------------------------


class Segment(NamedTuple):
    path: str
    rights: str
    offset: int
    start: int
    end: int

    @property
    def is_symbols(self) -> bool:
        """The first of two or three read-only ones, where linkers put them apart."""
        return self.rights == "r--p" and self.offset == 0

    def pages(self, pid: int) -> list[bool]:
        """For each page whether it is resident."""
        with open(f"/proc/{pid}/pagemap", "rb") as file:
            file.seek(self.start // mmap.PAGESIZE * 8)
            data = file.read((self.end - self.start) // mmap.PAGESIZE * 8)
        return [bool(entry >> 63) for (entry,) in struct.iter_unpack("=Q", data)]

    def wanted_pages(self) -> int:
        """All before the tables for unwinding, which close the read-only data."""
        with open(self.path, "rb") as file:
            head = file.read(4096)
        table, each_bytes, count = *struct.unpack_from("=Q", head, 32), *struct.unpack_from("=HH", head, 54)
        size = self.end - self.start
        for at in range(table, table + each_bytes * count, each_bytes):
            kind, _, offset = struct.unpack_from("=IIQ", head, at)
            if kind == 0x6474E550 and self.offset < offset < self.offset + size and self.rights == "r--p":
                size = offset - self.offset
        return -(-size // mmap.PAGESIZE)


def segments(pid: int, pattern: str) -> list[Segment]:
    """What is mapped read-only from files whose name begins so."""
    found: list[Segment] = []
    for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
        span, rights, offset, _, _, *path = line.split()
        if path and re.match(pattern, os.path.basename(path[0])) and rights.startswith("r-"):
            start, end = (int(word, 16) for word in span.split("-"))
            each = Segment(path[0], rights, int(offset, 16), start, end)
            last = found[-1] if found else each
            if last[:2] == each[:2] and (last.end, last.offset + last.end - last.start) == (each.start, each.offset):
                each = found.pop()._replace(end=end)  # locked in part
            found.append(each)
    return found


def test_all_of_the_libraries_that_can_be_read_once_it_runs_is_there(board: Sandbox, start: Start) -> None:
    """Text and read-only data, used so far or not. Symbols are not: no function is left to be bound."""
    require(sys.maxsize > 1 << 32 and platform.machine() == "x86_64", "the layout of 64-bit programs on x86")
    daemon = start(board)
    found = segments(daemon.killer_pid, r"libpython|python|libc\.|ld-|libffi|_ctypes")
    rest = [each for each in found if not each.is_symbols]
    assert {os.path.basename(each.path).split(".")[0] for each in rest} >= {"libc", "_ctypes"}
    assert any(each.rights == "r--p" and "python" in each.path for each in rest)
    assert [each for each in rest if not all(each.pages(daemon.killer_pid)[: each.wanted_pages()])] == []
    for pid in (daemon.killer_pid, daemon.pid):
        assert b"LD_BIND_NOW=1" in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        others = segments(pid, r"libm\.|libz\.|libexpat\.")
        unused = [there for each in (*found, *others) if each.is_symbols or each in others for there in each.pages(pid)]
        assert sum(unused) <= len(unused) // 10, pid  # a fault brings its neighbours along


@pytest.fixture
def cold_python(tmp_path: Path) -> list[str]:
    """A copy of this interpreter whose code nobody has in the page cache: the first to run it is charged for it."""
    base = Path(sys.base_prefix)
    binary = Path(os.path.realpath(sys.executable))
    library = Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "")
    (tmp_path / "bin").mkdir()
    (tmp_path / "lib").mkdir()
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (tmp_path / "lib" / version).symlink_to(base / "lib" / version)
    copies = [Path(shutil.copy(binary, tmp_path / "bin" / version))]
    if library.name.count(".so") and library.is_file():
        copies.append(Path(shutil.copy(library, tmp_path / "lib")))
    libm = [each.path for each in segments(os.getpid(), r"libm\.so")]
    copies += [Path(shutil.copy(path, tmp_path / "lib")) for path in libm[:1]]
    for copy in copies:
        with open(copy, "rb+") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return ["env", f"LD_LIBRARY_PATH={tmp_path / 'lib'}", str(copies[0])]


@pytest.mark.pressure
@pytest.mark.slow
@pytest.mark.parametrize(("how", "faults"), [("steady", False), ("unlocked", True)])
def test_only_locked_memory_is_still_there_after_everything_else_was_reclaimed(
    how: str, faults: bool, cold_python: list[str]
) -> None:
    with Sandbox(limit_mib=64) as domain:
        memory = Path(domain.place.memory)
        # Started inside the domain, so that the domain's reclaim reaches the pages of its program.
        inside = ["sh", "-c", f'echo $$ >{memory}/cgroup.procs; exec "$@"', "sh", *cold_python]
        with Exerciser(domain, how, python=inside) as killer:
            killer.ask("wake 500", "woken")
            domain.start_thrashers(2)
            before = stat_field(Path(f"/proc/{killer.killer_pid}"), MAJFLT)
            for _ in range(ROUNDS):
                (memory / "memory.force_empty").write_text("0")
                killer.ask("wake 50", "woken")
            after = stat_field(Path(f"/proc/{killer.killer_pid}"), MAJFLT)
            assert killer.results()["exit"] == [(0,)]
        assert (after - before > 0) == faults, after - before


@pytest.mark.slow  # and so not for the Python of trixie, which starts through a loader of its own
def test_the_kill_path_never_comes_to_libm_which_is_not_locked(cold_python: list[str]) -> None:
    """The mathematical library is a copy of our own: what else runs here does not touch it."""
    with Sandbox(limit_mib=64) as domain, Exerciser(domain, "steady", python=cold_python) as killer:
        killer.ask("wake 500", "woken")
        require(segments(killer.killer_pid, r"libm\.so"), "a Python that is linked with libm")
        for pid in (killer.killer_pid, killer.process.pid):
            Path(f"/proc/{pid}/clear_refs").write_text("1")
        killer.ask("wake 10000", "woken")  # a round of all policies
        maps = Path(f"/proc/{killer.killer_pid}/smaps").read_text()
        touched = re.findall(
            r"^[0-9a-f]+-[0-9a-f]+ r.*/(lib(?:c|m)\.so.*)\n(?:.+: .*\n)*?Referenced: +(\d+) kB", maps, re.M
        )
    assert {int(kb) for name, kb in touched if name.startswith("libm")} == {0}
    assert any(int(kb) for name, kb in touched if name.startswith("libc"))

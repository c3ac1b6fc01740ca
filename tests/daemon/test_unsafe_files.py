"""Files of the state root that are no such files, or not ours: the daemon says so and goes on as it was."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, DomainConfig, MonitorConfig
from lmkd_py.daemon import inherited
from lmkd_py.daemon.steward.candidates.procs_file import parse_procs
from lmkd_py.daemon.steward.killers.killers_file import living, remember
from lmkd_py.wire.config import encode_config
from tests.daemon.driver import Daemon, Trace, wait_until, write_config
from tests.daemon.program import assert_refused, lmkd_py, run
from tests.support import needs_cgroup

Start = Callable[..., Daemon]
NOBODY = 65534


def as_fifo(path: Path) -> None:
    os.mkfifo(path)


def as_link(path: Path) -> None:
    target = path.with_name("elsewhere")
    target.write_bytes(encode_config(Config()))
    path.symlink_to(target)


def as_huge(path: Path) -> None:
    path.write_bytes(encode_config(Config(monitor=MonitorConfig(domain=DomainConfig(path="/" + "x" * 70_000)))))


def as_nothing(path: Path) -> None:
    path.write_bytes(b"")


def as_cut_off(path: Path) -> None:
    path.write_bytes(encode_config(Config())[:-2])


def as_open_to_all(path: Path) -> None:
    path.write_bytes(encode_config(Config()))
    path.chmod(0o666)


UNSAFE = [
    (as_fifo, "found a FIFO"),
    (as_link, "found a symbolic link"),
    (as_huge, "found more than 32768 bytes"),
    (as_nothing, "0 bytes without it"),
    (as_cut_off, "cut off"),
    (as_open_to_all, "others may write to it (mode 0666)"),
]
CASES = pytest.mark.parametrize(("make", "told"), UNSAFE, ids=[make.__name__[3:] for make, _ in UNSAFE])


@CASES
def test_a_config_that_is_none_starts_nobody(tmp_path: Path, make: Callable[[Path], None], told: str) -> None:
    make(tmp_path / "config.bin")
    done = run(tmp_path)
    assert_refused(done, done.returncode, str(tmp_path / "config.bin"), told)
    assert done.returncode in (inherited.EXIT_BAD_CONFIG, inherited.EXIT_NO_PERMISSION)
    assert told in lmkd_py("check", "--root", str(tmp_path)).stderr


@needs_cgroup
@pytest.mark.slow
def test_a_config_that_becomes_none_leaves_the_old_one_in_force(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    before = daemon.status()
    for count, (make, told) in enumerate(UNSAFE, 1):
        (tmp_path / "config.bin").unlink()
        make(tmp_path / "config.bin")
        daemon.process.send_signal(signal.SIGHUP)
        wait_until("it is refused", lambda count=count: len(Trace(tmp_path).noted("reload-refused")) == count)  # type: ignore[misc]
        assert told in Trace(tmp_path).noted("reload-refused")[-1].text
    after = daemon.status()
    assert (after.config_hash, after.config_generation) == (before.config_hash, before.config_generation)
    assert after.armed
    assert daemon.stop() == 0


def test_bad_lines_are_counted_and_eight_are_shown() -> None:
    lines, refused = parse_procs(b"nonsense\n" * 1000 + b"7 0 900\n")
    assert [line.pid for line in lines] == [7]
    assert len(refused) == 9
    assert refused[-1] == "procs: and 992 more lines like that"


def cpu_s(pid: int) -> float:
    """CPU time of the first thread of a process so far."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


@needs_cgroup
@pytest.mark.slow
@pytest.mark.parametrize("line", [b"x\n", b"1 0 5000\n", b"2147483647 0 900\n"])
def test_a_registration_file_full_of_nonsense_silences_nobody(
    board: Sandbox, start: Start, tmp_path: Path, line: bytes
) -> None:
    daemon = start(board)
    new = tmp_path / "procs.new"
    new.write_bytes(line * ((1 << 20) // len(line)))
    new.rename(tmp_path / "procs")
    assert daemon.status().armed
    new.write_bytes(line * (4 << 20))
    new.rename(tmp_path / "procs")
    wait_until("it is refused", lambda: [n for n in Trace(tmp_path).noted("refused") if "found more than" in n.text])
    assert cpu_s(daemon.pid) < 25  # of its CPU, whatever others leave of it; it used to be a minute and more
    assert daemon.stop() == 0
    assert len(Trace(tmp_path).noted("refused")) <= 20


@pytest.mark.parametrize("make", [as_fifo, as_link])
def test_a_killers_file_that_is_none_makes_way_and_is_not_followed(
    tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "killers")
    before = (tmp_path / "elsewhere").read_bytes() if (tmp_path / "elsewhere").exists() else b""
    assert living(str(tmp_path)) == []
    remember(str(tmp_path), os.getpid())
    assert (tmp_path / "killers").lstat().st_size == 1024
    if before:
        assert (tmp_path / "elsewhere").read_bytes() == before


@needs_cgroup
def test_a_directory_in_place_of_the_killers_file_keeps_nobody_from_guarding(board: Sandbox, tmp_path: Path) -> None:
    write_config(tmp_path, Config(monitor=board.monitor_config()))
    (tmp_path / "killers" / "x").mkdir(parents=True)
    daemon = Daemon(tmp_path, "--observe")
    try:
        assert daemon.status().armed
        assert daemon.stop() == 0
    finally:
        daemon.end()


def without_umask() -> None:
    os.umask(0)


# -- the state root itself --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777, 0o1777])
def test_a_state_root_that_others_may_write_to_is_refused_with_the_cure(tmp_path: Path, mode: int) -> None:
    root = tmp_path / "root"
    root.mkdir()
    root.chmod(mode)
    told = f"state root {root}: others may write to it (mode {mode:04o}); chmod go-w {root}"
    assert_refused(run(root), inherited.EXIT_NO_PERMISSION, told)


@pytest.mark.root("gives a directory to another user")
def test_a_state_root_of_another_user_is_refused_with_the_cure(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    os.chown(root, NOBODY, NOBODY)
    told = f"state root {root}: it belongs to user {NOBODY}, wanted root; chown 0 {root}"
    assert_refused(run(root), inherited.EXIT_NO_PERMISSION, told)


@needs_cgroup
def test_a_daemon_started_by_a_shell_without_a_umask_leaves_nothing_to_others(board: Sandbox, tmp_path: Path) -> None:
    root = tmp_path / "root"
    write_config(root, Config(monitor=board.monitor_config()))
    daemon = Daemon(root, "--observe", preexec=without_umask)
    try:
        open_to_others = [path for path in root.rglob("*") if path.lstat().st_mode & 0o022 and not path.is_symlink()]
        assert open_to_others == []
        assert daemon.stop() == 0
    finally:
        daemon.end()

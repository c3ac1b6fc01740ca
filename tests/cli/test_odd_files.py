"""Every verb against odd files, full disks, readers that leave and Ctrl-C: one line, an exit code, no traceback."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from lmkd_py.cli.app import app
from lmkd_py.core.config import DEFAULTS
from lmkd_py.host.config_text import config_text
from lmkd_py.wire.config import encode_config
from tests.cli.conftest import Lmkctl, Said
from tests.host.conftest import Rack
from tests.support import REPO_ROOT

# Where a verb takes a file: FILE. Verbs that take none get it as the file of devices.
WORDS: dict[str, list[list[str]]] = {
    "config show": [["config", "show", "FILE"]],
    "config validate": [["config", "validate", "FILE"]],
    "config encode": [["config", "encode", "FILE", "-o", "/dev/null"]],
    "config push": [["-s", "127.0.0.1:1", "config", "push", "FILE"]],
    "config diff": [["-s", "127.0.0.1:1", "config", "diff", "FILE"]],
    "explain": [["explain", "FILE"], ["explain", "FILE", "--json"], ["explain", "FILE", "--short"]],
    "replay": [["replay", "FILE"]],
    "devices": [["--targets", "FILE", "devices"]],
    "shell": [["--targets", "FILE", "shell", "true"]],
    "selftest": [["--targets", "FILE", "selftest"]],
    # With boards recorded where FILE is.
    **{f"board {verb}": [["board", verb]] for verb in ("list", "down", "pressure", "snapshot")},
    "board up": [["--key", "FILE", "board", "up", "sandbox"]],
    "demo": [["demo", "-o", "FILE", "--profile", "none"]],
}
ODD = ("zero", "full", "directory", "fifo", "missing", "unreadable", "bytes", "loop", "too long", "socket")


def every_verb() -> list[str]:
    """Names of all verbs, as they are typed."""

    def below(command: Any, path: tuple[str, ...]) -> Iterator[str]:
        if hasattr(command, "commands"):
            for name, inner in command.commands.items():
                yield from below(inner, (*path, name))
        else:
            yield " ".join(path)

    return list(below(typer.main.get_command(app), ()))


def words_of(verb: str) -> list[list[str]]:
    device = [["--targets", "FILE", *verb.split()], ["-s", "127.0.0.1:1", "--key", "FILE", *verb.split()]]
    return WORDS.get(verb, device)


@pytest.fixture
def odd(tmp_path: Path) -> Iterator[dict[str, str]]:
    place = {name: tmp_path / name for name in ("directory", "fifo", "missing", "bytes", "loop", "socket", "huge")}
    place["directory"].mkdir()
    os.mkfifo(place["fifo"])
    place["bytes"].write_bytes(b"\xff\xfe\x00\x80" * 500)
    place["loop"].symlink_to("loop")
    with place["huge"].open("wb") as file:
        file.truncate(1 << 40)  # sparse: nobody may read all of it
    with socket.socket(socket.AF_UNIX) as listener:
        folder = os.open(tmp_path, os.O_PATH)
        listener.bind(f"/proc/self/fd/{folder}/socket")
        os.close(folder)
        unreadable = "/proc/self/mem"  # root, too, gets an error from it
        yield {
            "zero": "/dev/zero", "full": "/dev/full", "unreadable": unreadable, "too long": str(place["huge"]),
            **{name: str(place[name]) for name in ("directory", "fifo", "missing", "bytes", "loop", "socket")},
        }  # fmt: skip


def is_told_in_a_line(said: Said) -> None:
    assert said.code not in (0, 70), said
    assert said.err.count("\n") >= 1
    assert "Traceback" not in said.err + said.out
    assert "an error of lmkctl itself" not in said.err
    assert len(said.err.splitlines()[-1]) < 1000


@pytest.mark.parametrize("kind", ODD)
def test_every_verb_refuses_an_odd_file_in_a_line(
    lmkctl: Lmkctl, odd: dict[str, str], kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("lmkd_py.wire.local_files.PATIENCE_S", 0.1)
    monkeypatch.setattr("lmkd_py.wire.local_files.read_bounded.__defaults__", (0.1,))
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    for verb in every_verb():
        for words in words_of(verb):
            if kind == "missing" and verb == "board up":
                continue  # the key would be made, and the board would come up
            is_board = verb.startswith("board") and "FILE" not in words
            if is_board and kind in ("directory", "missing"):
                continue  # a place for records
            if kind == "too long" and verb in ("explain", "replay"):
                continue  # read as what it is: a large file, without a frame
            monkeypatch.setenv("LMKD_BOARDS", odd[kind] if is_board else str(tmp_path / "boards"))
            said = lmkctl(*(odd[kind] if word == "FILE" else word for word in words))
            if is_board and verb == "board list":
                assert "an error of lmkctl itself" not in said.err
            elif kind == "missing" and "--key" in words:  # a missing key is made
                assert said.code != 70
                Path(odd[kind]).unlink(missing_ok=True)
            else:
                is_told_in_a_line(said)


OUTPUTS: dict[str, Callable[[Said], bool]] = {
    "/dev/full": lambda said: said.code != 0 and "/dev/full: No space left on device" in said.err,
    "/dev/null": lambda said: said.code == 0,
    "directory": lambda said: said.code != 0 and "Is a directory" in said.err,
    "fifo": lambda said: said.code != 0 and "nobody reads from it" in said.err,
    "missing/file": lambda said: said.code != 0 and "No such file or directory" in said.err,
    "loop": lambda said: said.code != 0 and "symbolic links" in said.err,
    "link": lambda said: said.code == 0,
}


@pytest.mark.parametrize("output", OUTPUTS)
@pytest.mark.parametrize("verb", ["encode", "pull"])
def test_an_output_that_is_no_file_is_written_to_or_refused(
    lmkctl: Lmkctl, rack: Rack, odd: dict[str, str], tmp_path: Path, output: str, verb: str
) -> None:
    config = tmp_path / "config"
    config.write_text(config_text(DEFAULTS))
    (tmp_path / "link").symlink_to("target")
    place = output if output.startswith("/dev") else str(tmp_path / output)
    before = os.stat(place, follow_symlinks=False) if os.path.lexists(place) else None
    if verb == "encode":
        said = lmkctl("config", "encode", config, "-o", place)
    else:
        said = lmkctl("--key", rack.key, "-s", rack.add().address, "config", "pull", "-o", place)
    assert OUTPUTS[output](said), said
    assert "an error of lmkctl itself" not in said.err
    after = os.stat(place, follow_symlinks=False) if os.path.lexists(place) else None
    assert (before and (before.st_ino, before.st_mode)) == (after and (after.st_ino, after.st_mode))
    if output == "link":
        assert stat.S_ISLNK(after.st_mode) if after else False
        assert (tmp_path / "target").stat().st_size > 0
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".lmkctl")]


def program(*words: str, **how: Any) -> subprocess.Popen[bytes]:
    """The program, as its entry point starts it."""
    start = [sys.executable, "-c", "import sys; from lmkd_py.cli import main; main()", *words]
    return subprocess.Popen(start, cwd=REPO_ROOT, stderr=subprocess.PIPE, **how)


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "config.bin"
    path.write_bytes(encode_config(DEFAULTS))
    return str(path)


@pytest.mark.parametrize("words", [["config", "show", "FILE"], ["config", "validate", "FILE"], ["--help"]])
def test_a_full_disk_under_the_output_is_told_once(config: str, words: list[str]) -> None:
    with open("/dev/full", "wb") as full, program(*(config if w == "FILE" else w for w in words), stdout=full) as done:
        _, err = done.communicate(timeout=120)
    assert done.returncode == 1
    assert err == b"lmkctl: standard output: No space left on device\n"


@pytest.mark.parametrize("words", [["config", "show", "FILE"], ["--help"]])
def test_a_reader_that_leaves_ends_it_without_a_word(config: str, words: list[str]) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with program(*(config if w == "FILE" else w for w in words), stdout=theirs) as done:
        os.close(theirs)
        _, err = done.communicate(timeout=120)
    assert done.returncode in (1, 141)
    assert err == b""


def test_closed_streams_are_no_reason_to_fail_nor_to_write_into_a_file(config: str, tmp_path: Path) -> None:
    out = tmp_path / "out.bin"
    words = f'exec "$0" -c "from lmkd_py.cli import main; main()" config encode {config} -o {out} <&- >&- 2>&-'
    done = subprocess.run(["sh", "-c", words, sys.executable], cwd=REPO_ROOT)
    assert done.returncode == 0
    assert out.read_bytes() == encode_config(DEFAULTS)


INTERRUPT = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == sys.argv[1]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
from lmkd_py.cli import main
main()
"""


def interrupted(where: str, *words: str) -> tuple[int, bytes, bytes]:
    """Exit code and output of a command line; Ctrl-C comes as this module is looked for."""
    code = INTERRUPT.replace("sys.argv[1]", repr(where))
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=REPO_ROOT, capture_output=True)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("where", "verb"),
    [
        ("lmkd_py.cli.loading", "status"),
        ("lmkd_py.cli.app", "status"),
        ("typer", "status"),
        ("lmkd_py.cli.service", "status"),
        ("json.decoder", "status"),
        ("lmkd_py.cli.config_file", "config"),
        ("google.protobuf.text_format", "config show FILE"),
        ("lmkd_py.board.boards", "board list"),
        ("rich.console", "watch"),
        ("lmkd_py.cli.demo_sandbox", "demo"),
    ],
)
def test_ctrl_c_while_it_is_loaded_leaves_no_traceback(where: str, verb: str, config: str) -> None:
    words = [config if word == "FILE" else word for word in verb.split()]
    assert interrupted(where, *words) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("where", ["rich.console", "lmkd_py.host.connect"])
def test_ctrl_c_while_something_is_loaded_late_leaves_no_traceback_either(where: str, paper_trace: Path) -> None:
    words = ["explain", str(paper_trace)] if where == "rich.console" else ["-s", "127.0.0.1:1", "status"]
    assert interrupted(where, *words) == (130, b"", b"")


def test_ctrl_c_that_is_ignored_while_it_is_loaded_stays_ignored() -> None:
    code = INTERRUPT.replace("sys.argv[1]", "'typer'")
    words = ["sh", "-c", 'trap "" INT; exec "$0" -c "$1" --help', sys.executable, code]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


AGAIN = """
import signal
from lmkd_py import cli
from lmkd_py.cli import app
def ends() -> str:
    signal.raise_signal(signal.SIGINT)
    return ""
app.end_streams = ends
def verb(*words, **named):
    raise KeyboardInterrupt
app._carry_out = verb
cli.main()
"""


def test_a_second_ctrl_c_at_the_end_leaves_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-c", AGAIN], cwd=REPO_ROOT, capture_output=True, timeout=120,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (-signal.SIGINT, b"")

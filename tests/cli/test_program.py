"""lmkctl as a program: usage, missing packages, closed pipes, hostile names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lmkd_py.cli.app import app
from lmkd_py.cli.output import safe
from tests.cli.conftest import HOSTILE, Lmkctl
from tests.support import REPO_ROOT

MAIN = "from lmkd_py.cli import main; main()"


def program(*words: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-c", MAIN, *map(str, words)]
    return subprocess.run(command, cwd=REPO_ROOT, capture_output=True, env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize(
    "words", [["fly"], ["replay"], ["explain", "x", "--kill", "first"], ["demo", "--seconds", "1"]]
)
def test_bad_usage_exits_2_and_says_so_on_stderr(words: list[str]) -> None:
    done = program(*words)
    assert done.returncode == 2
    assert done.stdout == b""
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["demo", "replay", "explain", "status", "config"])
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(app, [verb, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["collect", "-s", "x"], "No such option: -s. It goes before the verb: lmkctl -s ... collect"),
        (["config", "push", "--all", "f"], "No such option: --all. It goes before the verb: lmkctl --all ... config"),
        (["collect", "--nothing"], "No such option: --nothing"),
    ],
)
def test_an_option_that_chooses_devices_is_sent_before_the_verb(words: list[str], says: str) -> None:
    done = program(*words)
    assert done.returncode == 2
    assert done.stderr.decode().splitlines()[-1] == f"Error: {says}"


def test_a_file_that_is_missing_is_one_line_and_no_traceback(tmp_path: Path) -> None:
    done = program("replay", tmp_path / "none.lmkt")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "missing", ["typer", "rich", "google", "google.protobuf", "adb_shell", "cryptography", "numpy"]
)
def test_without_a_host_package_it_says_what_to_install(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None\n{MAIN}"
    done = subprocess.run([sys.executable, "-c", code, "status"], cwd=REPO_ROOT, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (1, b"")
    (line,) = done.stderr.decode().splitlines()
    assert "pip install 'lmkd_py[host]'" in line
    assert "make venv" in line


def test_a_reader_that_has_seen_enough_is_no_error(paper_trace: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-c", MAIN, "explain", str(paper_trace)]
    done = subprocess.run(command, cwd=REPO_ROOT, stdout=write, stderr=subprocess.PIPE, check=False)
    os.close(write)
    assert b"Traceback" not in done.stderr


def test_safe_leaves_letters_alone_and_spells_out_all_else() -> None:
    assert safe("Ünïcode 漢字 ok") == "Ünïcode 漢字 ok"
    assert safe("a\x1b[2J\n\u202e\udc80") == "a\\x1b[2J\\n\\u202e\\udc80"


@pytest.mark.parametrize("options", [[], ["--short"], ["--json"]])
def test_a_hostile_name_reaches_the_terminal_as_letters_only(
    lmkctl: Lmkctl, paper_trace: Path, options: list[str]
) -> None:
    said = lmkctl("explain", paper_trace, *options)
    assert said.code == 0
    assert all(one.isprintable() or one == "\n" for one in said.out)
    assert "[red]" in said.out
    lines = len(said.out.splitlines())
    # The name's own line ends started no lines.
    quiet = lmkctl("explain", paper_trace, *options).out.replace(safe(HOSTILE), "x")
    assert lines == len(quiet.splitlines())


def test_a_hostile_name_is_harmless_on_a_colour_terminal_too(paper_trace: Path) -> None:
    done = program("explain", paper_trace, "--short", FORCE_COLOR="1", TERM="xterm-256color")
    assert b"\x1b[2J" not in done.stdout
    assert b"\x1b]0" not in done.stdout
    assert b"\x07" not in done.stdout


def test_the_help_has_groups_and_whole_sentences() -> None:
    said = CliRunner().invoke(app, ["--help"]).output
    for title in ("Choose devices:", "Connection:", "Output:", "Try it:", "Devices:", "Kill traces:"):
        assert f"\n{title}\n" in said
    assert "..." not in said.partition("\nTry it:")[2], "a verb's first sentence is too long for its line"
    assert said.index("\nTry it:") < said.index("  board ") < said.index("\nDevices:") < said.index("  config ")


@pytest.mark.parametrize("verb", ["demo", "install", "start", "shell", "collect", "explain", "replay", "selftest"])
def test_the_help_of_a_verb_shows_how_it_is_called(verb: str) -> None:
    said = CliRunner().invoke(app, [verb, "--help"]).output
    assert re.search(rf"^  (sudo )?lmkctl .*\b{verb}\b", said, re.MULTILINE)

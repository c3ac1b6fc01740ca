"""What README.md shows works: its configuration example, its commands, its targets and files."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.core.config import validate
from lmkd_py.daemon import inherited
from lmkd_py.daemon.commands import USAGE
from lmkd_py.daemon.selftest.__main__ import USAGE as SELFTEST_USAGE
from lmkd_py.wire.config import decode_config
from tests.support import REPO_ROOT

LMKCTL = [sys.executable, "-c", "import sys; sys.argv[0] = 'lmkctl'; from lmkd_py.cli import main; main()"]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(REPO_ROOT)}
README = (REPO_ROOT / "README.md").read_text()


def test_the_configuration_example_makes_a_config_the_daemon_takes(tmp_path: Path) -> None:
    (example,) = re.findall(r"```\n(policy .*?)```", README, re.DOTALL)
    (tmp_path / "settings.txt").write_text(example)
    (command,) = re.findall(r"`lmkctl (config encode .*?)`", README)
    subprocess.run([*LMKCTL, *command.split()], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True)
    config = validate(decode_config((tmp_path / "config.bin").read_bytes()))
    assert config.policy.lowmem_min_adj == 801


def test_every_command_of_the_table_exists() -> None:
    programs = {"lmkd-py": [sys.executable, "-m", "lmkd_py.daemon"], "lmkctl": LMKCTL}
    help_of = {}
    for program, command in programs.items():
        done = subprocess.run([*command, "--help"], cwd=REPO_ROOT, capture_output=True, text=True, check=True)
        help_of[program] = set(re.findall(r"[a-z]+", done.stdout))
    for program, verb in re.findall(r"^\| `(lmkd-py|lmkctl) ([a-z]+)", README, re.MULTILINE):
        assert verb in help_of[program], f"{program} {verb}"


def test_every_exit_code_is_told_here_and_in_the_usage() -> None:
    codes = {str(value) for name, value in vars(inherited).items() if name.startswith("EXIT_")}
    for text in (README[README.index("\nExit codes of") :], USAGE[USAGE.index("\nexit codes:") :]):
        sentence = " ".join(text.strip().partition("\n\n")[0].split())
        assert set(re.findall(r"[:,] (\d) ", sentence)) == codes


def test_every_option_of_the_selftest_is_in_the_table() -> None:
    (row,) = re.findall(r"^\| `lmkctl selftest.*", README, re.MULTILINE)
    assert set(re.findall(r"--[a-z-]+", row)) >= set(re.findall(r"--[a-z-]+", SELFTEST_USAGE)) >= {"--seconds"}


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_a_document_names_only_targets_and_files_that_exist(document: str) -> None:
    text = (REPO_ROOT / document).read_text()
    targets = set(re.findall(r"^([a-z-]+):", (REPO_ROOT / "Makefile").read_text(), re.MULTILINE))
    for name in re.findall(r"(?:`|^|\bsudo )make ([a-z-]+)", text, re.MULTILINE):
        assert name in targets, f"{document} names make {name}"
    for name in re.findall(r"`((?:lmkd_py|tools|tests|proto|device|\.ci)/[\w./-]*)`", text):
        assert (REPO_ROOT / name).exists(), f"{document} names {name}"

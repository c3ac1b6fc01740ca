from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import pytest

from lmkd_py.board import debs
from tests.support import REPO_ROOT, require
from tools import setup, setup_steps


def test_an_ordinary_user_is_told_the_command_and_what_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    require(os.path.exists("/usr/bin/apt-get"), "no apt-get: not a Debian machine")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(setup_steps.SetupError, match=r"sudo apt-get install gcc libc6-dev .*the C loop"):
        setup_steps.apt_install(setup.C_COMPILER.packages, setup.C_COMPILER.without)


def test_a_failing_step_shows_its_last_words_and_its_command(capfd: pytest.CaptureFixture[str]) -> None:
    program = "import sys; print('the reason'); sys.exit(7)"
    with pytest.raises(setup_steps.SetupError, match="ended with 7"):
        setup_steps.step("a step", sys.executable, "-c", program)
    assert "the reason" in capfd.readouterr().out


def test_a_smaller_set_up_is_covered_by_a_larger_one() -> None:
    test, everything = setup.stamp_of("host,test"), setup.stamp_of("host,test,tuning")
    assert setup.covering("host") == {setup.stamp_of("host"), test, everything}
    assert setup.covering("host,test") == {test, everything}


@pytest.mark.parametrize("target", setup.NEEDS)
def test_every_set_up_belongs_to_a_target_and_names_extras_that_exist(target: str) -> None:
    makefile = (REPO_ROOT / "Makefile").read_text()
    assert re.search(rf"^\t\$\(SETUP\) (\$\(if .*\b)?{target}\b", makefile, re.MULTILINE)
    project = (REPO_ROOT / "pyproject.toml").read_text()
    assert all(f"\n{extra} = [" in project for extra in setup.NEEDS[target].extras.split(","))


def test_the_mirror_is_the_one_in_this_machine_s_sources() -> None:
    require(os.path.exists("/etc/debian_version"), "not a Debian machine")
    mirror = debs.mirror()
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").iterdir()]
    assert any(mirror.rstrip("/") in path.read_text() for path in sources if path.is_file())

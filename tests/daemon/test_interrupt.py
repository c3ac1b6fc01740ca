"""Ctrl-C while `lmkd-py` is loaded: it ends as the signal ends it, without a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lmkd_py.daemon.__main__ import START
from tests.support import REPO_ROOT

# SIGINT comes when a module is looked for.
FINDER = """
import os, signal, sys
class Finder:
    def find_spec(self, name, *rest):
        if name == WHERE:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""
COMMAND = "from lmkd_py.daemon.__main__ import main; main()"
SELFTEST = """
from lmkd_py.daemon import interrupt
def main(words):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    finally:
        print("taken back", flush=True)
interrupt.ends_us()
interrupt.unwound(main, [])
"""


def _run(code: str, *words: str, ignored: bool = False) -> subprocess.CompletedProcess[bytes]:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN if ignored else signal.SIG_DFL)

    return subprocess.run(
        [sys.executable, "-c", code, *words], cwd=REPO_ROOT, capture_output=True, preexec_fn=ignore, timeout=120
    )


@pytest.mark.parametrize("where", ["lmkd_py.daemon.commands", "lmkd_py.daemon.check", "lmkd_py.kernel.bpf"])
def test_ctrl_c_while_a_command_is_loaded_leaves_no_traceback(where: str) -> None:
    done = _run(FINDER.replace("WHERE", repr(where)) + COMMAND, "check", "--root", os.devnull)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


@pytest.mark.parametrize("where", ["lmkd_py.daemon.lean", "lmkd_py.daemon.start", "lmkd_py.core.config"])
def test_ctrl_c_while_the_daemon_is_loaded_leaves_no_traceback(where: str) -> None:
    code = FINDER.replace("WHERE", repr(where)) + "exec(sys.argv.pop(1))"
    done = _run(code, START, str(REPO_ROOT), "run", "--root", os.devnull)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"", b"")


def test_ctrl_c_that_is_ignored_stays_ignored() -> None:
    done = _run(FINDER.replace("WHERE", "'lmkd_py.daemon.check'") + COMMAND, "--help", ignored=True)
    assert done.returncode == 0
    done = _run(f"{FINDER.replace('WHERE', repr('lmkd_py.daemon.check'))}{COMMAND}", "status", ignored=True)
    assert done.returncode == 1  # nobody answers, and it says so


def test_what_a_self_test_set_up_is_taken_back_before_ctrl_c_ends_it() -> None:
    done = _run("import os, signal" + SELFTEST)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGINT, b"taken back\n", b"")

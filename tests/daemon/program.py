"""`lmkd-py` as a program that ends by itself, and what a refusal looks like."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support import REPO_ROOT

Done = subprocess.CompletedProcess[str]


def lmkd_py(*words: str, preexec: Callable[[], None] | None = None) -> Done:
    """Run `lmkd-py` with these words until it exits. One that goes on has a killer, which is ended, too."""
    command = [sys.executable, "-m", "lmkd_py.daemon", *words]
    with subprocess.Popen(
        command,
        cwd=REPO_ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=preexec,
        start_new_session=True,
    ) as started:
        try:
            out, error = started.communicate(timeout=60)
        except BaseException:
            os.killpg(started.pid, signal.SIGKILL)
            raise
    return Done(command, started.returncode, out, error)


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

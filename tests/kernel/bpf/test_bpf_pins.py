"""What is pinned in the BPF file system goes when nothing came of it."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.kernel.bpf.pins import BPFFS
from tests.daemon.lacking import without_syscall
from tests.support import REPO_ROOT, require

LOAD = """
import sys
from lmkd_py.kernel.bpf import BpfRefused, Order, load_apart
try:
    load_apart(Order(""), "", sys.argv[1])
except BpfRefused as refusal:
    print(refusal)
"""


@pytest.mark.root("loads a BPF program")
def test_a_program_that_could_not_be_attached_leaves_no_directory() -> None:
    require(os.path.ismount(BPFFS), f"a BPF file system on {BPFFS}")
    parent = Path(BPFFS, f"lmkd_py-test-{os.getpid()}")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, str(parent / "1-2-0")],
        cwd=REPO_ROOT,
        capture_output=True,
        text=True,
        preexec_fn=without_syscall("perf_event_open", errno.EACCES),
        timeout=120,
    )
    assert "tracepoint" in done.stdout, done.stdout + done.stderr
    assert not parent.exists()

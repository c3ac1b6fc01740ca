"""What the steward has of a program in the kernel: all of it, or nothing is left open."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.core.config import MonitorConfig
from lmkd_py.daemon.steward.killers import kernel_strike
from lmkd_py.daemon.steward.killers.kernel_strike import load_kernel_strike
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.bpf import AttachedProgram


def test_a_program_that_cannot_be_mapped_leaves_no_descriptor_and_no_pin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the place of its maps are descriptors that the kernel maps nowhere."""
    before = set(os.listdir("/proc/self/fd"))
    unpinned: list[str] = []
    loaded = AttachedProgram(1, eventfd(), eventfd(), eventfd(), eventfd(), (eventfd(),), ())
    monkeypatch.setattr(kernel_strike, "load_apart", lambda *_: loaded)
    monkeypatch.setattr(kernel_strike, "unpin", unpinned.append)
    with pytest.raises(OSError, match="No such device"):
        load_kernel_strike(str(tmp_path), MonitorConfig(), 7)
    assert set(os.listdir("/proc/self/fd")) == before
    assert [path[-2:] for path in unpinned] == ["-7"]

"""A trace file that takes the place of another begins with a header, whatever finds no memory meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.daemon.steward.filing.trace_file import ROTATE_BYTES, TraceFile
from lmkd_py.wire.frames import HEADER, RECORD, Frame, read_frames
from tests.daemon.driver import BOOT
from tests.daemon.scarcity import scarcity


def frames(path: Path) -> list[tuple[int, bytes]]:
    parts = list(read_frames(path.read_bytes()))
    assert all(isinstance(part, Frame) for part in parts)
    return [(part.kind, part.payload) for part in parts if isinstance(part, Frame)]


def rotate(root: Path, nth: int, kernel: bool, unsynced: bool) -> int:
    """A change of files in which the nth call fails; how many could have."""
    root.mkdir()
    before = len(os.listdir("/proc/self/fd"))
    trace = TraceFile(str(root), BOOT)
    trace.begin(b"header")
    trace.record(b"first")
    trace.bytes, trace.unsynced = ROTATE_BYTES + 1, unsynced
    with scarcity(nth, kernel) as met:
        try:
            taken = trace.record(b"second")
        except MemoryError:
            taken = False
    if not taken:
        assert trace.record(b"second")
    trace.bytes = ROTATE_BYTES + 1
    assert trace.record(b"third")
    trace.close()
    assert len(os.listdir("/proc/self/fd")) == before
    filed = [frames(path) for path in sorted(Path(trace.directory).iterdir())]
    records = [part for file in filed for part in file if part[0] == RECORD]
    assert records == [(RECORD, b"first"), (RECORD, b"second"), (RECORD, b"third")]
    assert all(file[0] == (HEADER, b"header") for file in filed)
    return met.met


@pytest.mark.parametrize("unsynced", [False, True])
@pytest.mark.parametrize("kernel", [True, False], ids=["ENOMEM", "MemoryError"])
def test_every_file_begins_with_a_header_whatever_finds_no_memory(tmp_path: Path, kernel: bool, unsynced: bool) -> None:
    calls = rotate(tmp_path / "none", 0, kernel, unsynced)
    assert calls > 5
    failed = {}
    for nth in range(1, calls + 1):
        try:
            rotate(tmp_path / str(nth), nth, kernel, unsynced)
        except (AssertionError, IndexError) as error:
            failed[nth] = str(error)[:80]
    assert not failed, f"calls of {calls}"

"""Counts instead of clocks: how many records are decoded, and how many instructions run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import pytest

from lmkd_py.wire.record import Record, unpack_record


@contextmanager
def decoded() -> Iterator[list[int]]:
    """The seq of each record that a trace decodes meanwhile, in order."""
    seen: list[int] = []

    def counting(buffer: Any, offset: int = 0) -> Record:
        record = unpack_record(buffer, offset)
        seen.append(record.seq)
        return record

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lmkd_py.analysis.traced.unpack_record", counting)
        yield seen


def steps_of(work: Callable[[], object]) -> int:
    """How many instructions of Python it takes. Each run takes as many."""
    count = 0

    def see(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return see

    former = sys.gettrace()
    sys.settrace(see)
    try:
        work()
    finally:
        sys.settrace(former)
    return count

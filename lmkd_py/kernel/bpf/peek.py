"""Reads kernel memory through a BPF program of its own, device/bpf/probe.bpf.c. Loader's child only.

Nothing else is needed for it than what the strike needs: no kernel symbol, no type information, no /dev/mem.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct

from ..acting.syscalls import prctl
from . import calls, elf

OBJECT = os.path.join(os.path.dirname(__file__), "probe.o")
PIECE, PIECES = 64, 64  # probe.bpf.c has the same, and these words
NAME, ADDRESS, WANTED, TASK, ANSWERS = range(5)

_PR_SET_NAME = 15


class Peek:
    """Works in this process and in those it forks, one at a time. OSError, calls.Rejected or ValueError: not here."""

    def __init__(self) -> None:
        with open(OBJECT, "rb") as file:
            parsed = elf.parse(file.read())
        maps = {name: calls.map_create(name, *each) for name, each in parsed.maps.items()}
        program = calls.prog_load("lmkd_peek", elf.fill(parsed.programs["probe/peek"], maps, {}), calls.RAW_TRACEPOINT)
        self._link = calls.raw_tracepoint_open(program, "task_rename")
        self._words = memoryview(mmap.mmap(maps["ask"], mmap.PAGESIZE)).cast("Q")
        self._seen = mmap.mmap(maps["seen"], PIECE * PIECES)
        for fd in (program, *maps.values()):
            os.close(fd)
        self._name = ctypes.create_string_buffer(os.urandom(4).hex().encode())
        (self._words[NAME],) = struct.unpack("=Q", self._name.raw[:8])

    def task(self) -> int:
        """Address of the calling thread's task_struct."""
        self._ask(0, 0)
        return self._words[TASK]

    def read(self, address: int, size: int) -> bytes:
        """`size` bytes of kernel memory, rounded up to pieces; zeros where there is none."""
        parts = []
        for place in range(address, address + size, PIECE * PIECES):
            pieces = min(PIECES, -(-(address + size - place) // PIECE))
            self._ask(place, pieces)
            parts.append(self._seen[: PIECE * pieces])
        return b"".join(parts)

    def _ask(self, address: int, pieces: int) -> None:
        words = self._words
        words[ADDRESS], words[WANTED] = address, pieces
        before = words[ANSWERS]
        prctl(_PR_SET_NAME, ctypes.addressof(self._name))
        if words[ANSWERS] == before:
            raise ValueError("the tracepoint task_rename ran no program")

    def close(self) -> None:
        """Unload the program."""
        os.close(self._link)

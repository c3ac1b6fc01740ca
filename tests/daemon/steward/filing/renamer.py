"""A program that becomes another application when told to, as a zygote's child does: comm and command line change."""

from __future__ import annotations

import ctypes
import sys
import time

PR_SET_NAME = 15


def rename(name: bytes) -> None:
    """comm has the last 15 bytes, the command line all of it."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name[-15:], 0, 0, 0)
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b")")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end
    ctypes.memmove(start, name.ljust(end - start, b"\0"), end - start)


def main() -> None:
    """One name a line; each is answered by a line. Takes SIZE bytes of memory first."""
    held = bytearray(b"x" * int(sys.argv[1]))
    for line in sys.stdin:
        rename(line.strip().encode())
        print("renamed", flush=True)
    time.sleep(600)
    del held


if __name__ == "__main__":
    main()

"""Paging out memory of another process: which of it, in how large calls, and what becomes of a refusal."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.kernel.acting import paging
from lmkd_py.kernel.acting.libc import function
from lmkd_py.kernel.acting.memory import address_of
from lmkd_py.kernel.acting.numbers import NR
from lmkd_py.kernel.acting.paging import (
    ADDRESS_END,
    MADV_PAGEOUT,
    Advised,
    Mappings,
    first_of,
    pageable,
    process_madvise,
    rest_of,
    size_of,
)
from lmkd_py.kernel.acting.syscalls import pidfd_open

PAGE = mmap.PAGESIZE
MAPS = b"""\
00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/app
00652000-00655000 rw-p 00052000 08:02 173521      /usr/bin/app
00e03000-00e24000 rw-p 00000000 00:00 0           [heap]
7f0000000000-7f0000200000 rw-p 00000000 00:00 0
7f0000200000-7f0000400000 rw-p 00000000 00:00 0   [anon:scudo:primary]
7f0000400000-7f0000500000 ---p 00000000 00:00 0
7f0000500000-7f0000600000 rw-s 00000000 00:00 0
7f0000600000-7f0000700000 rw-s 00000000 00:01 77  /memfd:x (deleted)
7f0000700000-7f0000800000 r--p 00000000 00:00 0
7f0000800000-7f0000900000 rwxp 00000000 00:00 0
7fffb2c0d000-7fffb2c2e000 rw-p 00000000 00:00 0   [stack]
7fffb2d48000-7fffb2d49000 r-xp 00000000 00:00 0   [vdso]
"""
RANGE = st.tuples(st.integers(0, 50), st.integers(1, 40)).map(lambda at: (at[0] * PAGE, (at[0] + at[1]) * PAGE))
RANGES = st.lists(RANGE, max_size=20)


@pytest.fixture
def child() -> Iterator[tuple[int, int]]:
    """pid and pidfd of a process that waits."""
    pid = os.fork()
    if not pid:
        signal.pause()
        os._exit(0)
    pidfd = pidfd_open(pid)
    yield pid, pidfd
    os.close(pidfd)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_private_anonymous_writable_memory_is_paged_out_and_nothing_else() -> None:
    found = [pageable(line) for line in MAPS.splitlines()]
    assert [each for each in found if each] == [
        (0xE03000, 0xE24000),
        (0x7F0000000000, 0x7F0000200000),
        (0x7F0000200000, 0x7F0000400000),
        (0x7F0000800000, 0x7F0000900000),
    ]


@given(st.binary(max_size=120) | st.sampled_from(MAPS.splitlines()).flatmap(
    lambda line: st.tuples(st.just(line), st.integers(0, len(line) - 1), st.binary(max_size=3))
).map(lambda bent: bent[0][: bent[1]] + bent[2] + bent[0][bent[1] + len(bent[2]) :]))  # fmt: skip
def test_any_line_is_a_range_or_none(line: bytes) -> None:
    found = pageable(line)
    assert found is None or 0 <= found[0] < found[1] <= ADDRESS_END


def test_what_a_32_bit_python_cannot_name_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "ADDRESS_END", 1 << 32)
    assert pageable(b"7f0000000000-7f0000200000 rw-p 00000000 00:00 0\n") is None
    assert pageable(b"b6f00000-100000000 rw-p 00000000 00:00 0\n") == (0xB6F00000, 1 << 32)


@given(st.binary(max_size=300), st.integers(1, 64))
def test_mappings_are_the_same_however_the_kernel_cuts_its_text(text: bytes, chunk: int) -> None:
    whole = [found for found in map(pageable, (text + MAPS).split(b"\n")) if found]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "CHUNK_BYTES", chunk)
        mappings = Mappings.__new__(Mappings)
        mappings._fd, mappings._rest = os.memfd_create("maps"), b""
        os.write(mappings._fd, text + MAPS)
        os.lseek(mappings._fd, 0, os.SEEK_SET)
        found: list[tuple[int, int]] = []
        while (some := mappings.next()) is not None:
            found += some
    assert found == whole
    assert mappings.next() is None


@given(RANGES, st.integers(1, 30))
def test_a_call_gets_the_first_so_many_bytes(ranges: list[tuple[int, int]], pages: int) -> None:
    batch = first_of(ranges, pages * PAGE)
    assert size_of(batch) == min(size_of(ranges), pages * PAGE)
    assert all(start < stop for start, stop in batch)
    assert size_of(rest_of(ranges, size_of(batch), False)) == size_of(ranges) - size_of(batch)


@given(RANGES, st.integers(1, 30), st.data())
def test_every_range_is_asked_for_once_and_what_is_refused_is_left_out(
    ranges: list[tuple[int, int]], pages: int, data: st.DataObject
) -> None:
    refused = data.draw(st.sets(st.sampled_from(ranges))) if ranges else set()
    asked: list[tuple[int, int]] = []

    def kernel(pidfd: int, batch: list[tuple[int, int]], advice: int) -> int:
        done = 0
        for start, stop in batch:
            asked.append((start, stop))
            if any(low <= start and stop <= high for low, high in refused):
                if not done:
                    raise OSError(errno.EINVAL, "process_madvise")
                return done
            done += stop - start
        return done

    advised = Advised(-1, pages * PAGE)
    advised.ranges = list(ranges)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paging, "process_madvise", kernel)
        for _ in range(4000):
            if not advised.ranges:
                break
            before = len(asked)
            advised.advance()
            assert size_of(asked[before:]) <= pages * PAGE
    assert not advised.ranges
    assert advised.bytes <= size_of(ranges)
    if not refused:
        assert advised.bytes == size_of(ranges)
        assert size_of(asked) == size_of(ranges)


def test_what_is_refused_is_left_out_and_all_else_is_advised(child: tuple[int, int]) -> None:
    ranges: list[tuple[int, int]] = []
    mappings = Mappings(child[0])
    while (some := mappings.next()) is not None:
        ranges += some
    mappings.close()
    start, stop = ranges[0]
    assert process_madvise(child[1], [(start, start + PAGE)], MADV_PAGEOUT) == PAGE
    nobodys = (0, PAGE)
    assert process_madvise(child[1], [(start, start + PAGE), nobodys, (start, stop)], MADV_PAGEOUT) == PAGE
    advised = Advised(child[1], 1 << 20)
    advised.ranges = [nobodys, (start, start + PAGE), nobodys, (start, start + 2 * PAGE)]
    while advised.ranges:
        advised.advance()
    assert advised.bytes == 3 * PAGE


def test_locked_memory_is_refused_and_costs_one_call_however_large_it_is() -> None:
    said, say = os.pipe()
    pid = os.fork()
    if not pid:
        area = mmap.mmap(-1, 64 * PAGE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        function("mlock", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)(address_of(area), 64 * PAGE)
        os.write(say, str(address_of(area)).encode())
        signal.pause()
        os._exit(0)
    start = int(os.read(said, 64))
    advised = Advised(pidfd_open(pid), PAGE)
    advised.ranges = [(start, start + 64 * PAGE)]
    advised.advance()
    assert (advised.ranges, advised.bytes) == ([], 0)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for fd in (said, say, advised.pidfd):
        os.close(fd)


def test_what_is_hopeless_is_told(child: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OSError, match="process_madvise") as caught:
        process_madvise(-1, [(0, PAGE)], MADV_PAGEOUT)
    assert caught.value.errno == errno.EBADF
    monkeypatch.setattr(paging, "NR", NR._replace(process_madvise=4095))  # as before Linux 5.10
    advised = Advised(child[1], PAGE)
    advised.ranges = [(0, PAGE)]
    with pytest.raises(OSError, match="process_madvise") as caught:
        advised.advance()
    assert caught.value.errno == errno.ENOSYS


def test_who_is_gone_has_no_mappings(tmp_path: Path) -> None:
    pid = os.fork()
    if not pid:
        os._exit(0)
    pidfd = pidfd_open(pid)
    os.waitpid(pid, 0)
    with pytest.raises(FileNotFoundError):
        Mappings(pid)
    with pytest.raises(ProcessLookupError):
        process_madvise(pidfd, [(0, PAGE)], MADV_PAGEOUT)
    os.close(pidfd)

"""Parsers whose files change under them: values that outgrow their place, lines that come and go, rubbish."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.pinned import PinnedFile
from lmkd_py.kernel.sensing.procfs.meminfo import MEMINFO
from lmkd_py.kernel.sensing.procfs.table import BYTES_TO_KB, LEAST, LIMIT, UNLIMITED, Row, numbers_in
from lmkd_py.kernel.sensing.procfs.vmstat import (
    FILE_LRU,
    RECLAIM,
    REFAULTS,
    UNDIVIDED,
    file_refault,
    node_paths,
    pin_nodes,
)
from tests.kernel.tables import empty, numbers, pinned
from tests.kernel.trees import ARM_V1, SHAPES, X86, flat, meminfo

VMSTAT = (*FILE_LRU, *REFAULTS, *RECLAIM)
LINES = {row.key.strip(b"\n:").decode(): row.field for row in MEMINFO}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def lines(values: dict[str, int]) -> str:
    return "".join(f"{key + ':':<16}{value:>8} kB\n" for key, value in values.items())


def expected(values: dict[str, int]) -> dict[str, int]:
    return {field: values.get(key, ABSENT) for key, field in LINES.items()}


def test_meminfo_follows_every_value_as_it_changes(path: Path) -> None:
    values = meminfo(X86)
    path.write_text(lines(values))
    table = pinned(path, MEMINFO)
    for change in ({"MemFree": 5}, {"SwapTotal": 99999999, "Cached": 0}, {"PageTables": 123}):
        values.update(change)
        path.write_text(lines(values))
        assert numbers(table) == expected(values)


@given(st.dictionaries(st.sampled_from(list(LINES)), st.integers(0, 10**12)), st.booleans())
def test_meminfo_is_right_whatever_the_widths(
    tmp_path_factory: pytest.TempPathFactory, new: dict[str, int], drop: bool
) -> None:
    path = tmp_path_factory.mktemp("m") / "meminfo"
    values = meminfo(ARM_V1)
    path.write_text(lines(values))
    table = pinned(path, MEMINFO)
    values.update(new)
    if drop:
        del values["Shmem"]
    path.write_text(lines(values))
    assert numbers(table) == expected(values)
    table.close()


@pytest.mark.parametrize("outgrown", [{"CmaFree": 10**9}, {"CmaFree": 10**12}, {"MemFree": 10**9, "MemAvailable": 1}])
def test_a_number_that_outgrows_its_column_is_never_cut(path: Path, outgrown: dict[str, int]) -> None:
    values = meminfo(ARM_V1)
    values["MemAvailable"] = 10**9  # a line nobody reads: it may shrink by what another one grows
    path.write_text(lines(values))
    table = pinned(path, MEMINFO)
    values.update(outgrown)
    path.write_text(lines(values))
    assert numbers(table) == expected(values)


def test_a_line_that_vanishes_is_absent_and_comes_back(path: Path) -> None:
    values = meminfo(ARM_V1)
    path.write_text(lines(values))
    table = pinned(path, MEMINFO)
    del values["CmaFree"]
    path.write_text(lines(values))
    assert numbers(table)["cma_free_kb"] == ABSENT
    path.write_text(lines(meminfo(ARM_V1)))
    assert numbers(table)["cma_free_kb"] == meminfo(ARM_V1)["CmaFree"]


def test_meminfo_without_a_total_is_refused_by_name(path: Path) -> None:
    path.write_text(lines({key: value for key, value in meminfo(X86).items() if key != "MemTotal"}))
    with pytest.raises(ValueError, match=r"file: no line 'MemTotal:' with a number"):
        pinned(path, MEMINFO)


def test_lines_in_another_order_are_still_found(path: Path) -> None:
    values = dict(reversed(meminfo(X86).items()))
    path.write_text(lines(values))
    table = pinned(path, MEMINFO)
    assert numbers(table) == expected(values)
    path.write_text(lines(meminfo(X86)))  # and when the order changes later
    assert numbers(table) == expected(values)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_counter_is_found_again_wherever_it_wanders(shape: str, path: Path) -> None:
    values = flat(shape, "proc/vmstat")
    path.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
    table = pinned(path, VMSTAT)
    before = numbers(table)
    wanted = {key: value if value == ABSENT else value * 1000 + 7 for key, value in before.items()}
    values = {key: value * 1000 + 7 for key, value in values.items()}  # every line three digits longer
    path.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
    assert numbers(table) == wanted
    shuffled = dict(sorted(values.items()))
    path.write_text("".join(f"{key} {value}\n" for key, value in shuffled.items()))
    assert numbers(table) == wanted


def test_an_undivided_refault_counter_wins_unless_it_is_zero(path: Path) -> None:
    for body, wanted in (
        ("workingset_refault 7\nworkingset_refault_file 9\n", 7),
        ("workingset_refault 0\nworkingset_refault_file 9\n", 9),
        ("workingset_refault_file 9\n", 9),
        ("workingset_refault 0\n", 0),
        ("", ABSENT),
    ):
        path.write_text("nr_inactive_file 1\nnr_active_file 2\n" + body)
        found = numbers_in(str(path), VMSTAT)
        assert file_refault(found[UNDIVIDED], found["workingset_refault_pages"]) == wanted
        assert [found[name] for name in ("nr_inactive_file_pages", "nr_active_file_pages")] == [1, 2]
        assert {found[row.field] for row in RECLAIM} == {ABSENT}


def test_vmstat_without_its_lists_is_refused_by_name(path: Path) -> None:
    path.write_text("nr_active_file 2\n")
    with pytest.raises(ValueError, match=r"file: no line 'nr_inactive_file'"):
        pinned(path, VMSTAT)
    path.write_text("nr_inactive_file 1\nnr_active_file two\n")
    with pytest.raises(ValueError, match=r"file: line 2: nr_active_file has no number"):
        pinned(path, VMSTAT)


@pytest.mark.parametrize("number", [str(1 << 63), "-1", "", "1 2", "0x10", "max"])
def test_what_no_trace_can_store_is_absent(path: Path, number: str) -> None:
    path.write_text("oom 1\nkept 2\n")
    table = pinned(path, (Row(b"\noom ", "oom"), Row(b"\nkept ", "kept")))
    path.write_text(f"oom {number}\nkept 3\n")
    assert table.read() == [ABSENT, 3]
    path.write_text("oom 4\nkept 5\n")
    assert table.read() == [4, 5]


def test_nodes_are_summed_and_a_lost_node_makes_the_sum_absent(tmp_path: Path) -> None:
    base = tmp_path / "sys/devices/system/node"
    for number, refault in ((0, 5), (1, 7), (10, 30)):
        (base / f"node{number}").mkdir(parents=True)
        (base / f"node{number}/vmstat").write_text(f"nr_free_pages 1\nworkingset_refault_file {refault}\n")
    (base / "online").write_text("0-1,10\n")
    paths = node_paths(str(tmp_path))
    assert [Path(path).parent.name for path in paths] == ["node0", "node1", "node10"]
    table = empty(*REFAULTS)
    pin_nodes(table, paths, REFAULTS)
    assert numbers(table)["workingset_refault_pages"] == 42
    (base / "node1/vmstat").write_text("")
    assert numbers(table)["workingset_refault_pages"] == ABSENT
    assert node_paths(str(tmp_path / "nothing")) == []


def test_of_several_nodes_all_are_pinned_or_none(tmp_path: Path) -> None:
    paths = [tmp_path / "0", tmp_path / "1"]
    paths[0].write_text("nr_inactive_file 1\nnr_active_file 2\n")
    paths[1].write_text("nothing of it\n")
    table = empty(*FILE_LRU)
    with pytest.raises(ValueError, match="no line 'nr_inactive_file'"):
        pin_nodes(table, [str(path) for path in paths], FILE_LRU)
    assert (table.files, table.read()) == ([], [ABSENT, ABSENT])


def test_of_several_limits_the_least_counts_and_one_that_cannot_be_read_does_not(tmp_path: Path) -> None:
    row = Row(b"\n", "limit", BYTES_TO_KB, form=LIMIT, required=1, several=LEAST)
    paths = [tmp_path / name for name in "abc"]
    for path, content in zip(paths, ("8192\n", "max\n", "4096\n"), strict=True):
        path.write_text(content)
    table = empty(row)
    table.pin_all([str(path) for path in paths], (row,))
    assert table.read() == [4]
    paths[2].write_text("rubbish\n")
    assert table.read() == [8]
    paths[0].write_text("")
    assert table.read() == [UNLIMITED >> 10]
    paths[1].write_text("")
    assert table.read() == [ABSENT]


def test_the_only_node_of_a_kernel_without_numa_is_found_in_zoneinfo(tmp_path: Path) -> None:
    zoneinfo = tmp_path / "proc/zoneinfo"
    zoneinfo.parent.mkdir()
    node = "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_file 3\n      nr_active_file 4\n"
    zoneinfo.write_text(f"{node}      workingset_refault_file 9\n  pages free     3840\nNode 0, zone    DMA32\n")
    assert node_paths(str(tmp_path)) == [str(zoneinfo)]
    table = empty(*FILE_LRU, *REFAULTS)
    pin_nodes(table, node_paths(str(tmp_path)), (*FILE_LRU, *REFAULTS))
    found = numbers(table)
    assert (found["nr_inactive_file_pages"], found["nr_active_file_pages"]) == (3, 4)
    assert (found["workingset_refault_pages"], found["refault_anon_pages"]) == (9, ABSENT)
    zoneinfo.write_text(f"{node}      workingset_refault_file 9\n  pages free     3840\nNode 1, zone   Normal\n")
    assert node_paths(str(tmp_path)) == []  # the first of several is not all of them
    zoneinfo.write_text(node)
    assert node_paths(str(tmp_path)) == []


def test_a_file_of_one_number_knows_max_and_nothing_but_numbers(path: Path) -> None:
    row = Row(b"\n", "limit", form=LIMIT, required=1)
    for content, wanted in (("42\n", 42), ("max\n", UNLIMITED), ("9223372036854771712\n", 9223372036854771712)):
        path.write_text(content)
        assert pinned(path, (row,)).read() == [wanted]
    for content in ("-1\n", "1_0\n", "many\n"):
        path.write_text(content)
        with pytest.raises(ValueError, match=r"line 1: found b.*, wanted a number"):
            pinned(path, (row,))
    path.write_text("")
    with pytest.raises(ValueError, match=r"line 1: found b'', wanted a number"):
        pinned(path, (row,))


def test_a_key_in_a_later_piece_of_the_file_is_still_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel hands out vmstat a page at a time once it is longer than that; a file on disk comes whole.
    def page_at_a_time(fd: int, room: tuple[memoryview], offset: int) -> int:
        return os.readv(fd, [room[0][:4096]]) if os.lseek(fd, offset, os.SEEK_SET) >= 0 else 0

    monkeypatch.setattr("lmkd_py.kernel.sensing.pinned.os.preadv", page_at_a_time)
    monkeypatch.setattr("lmkd_py.kernel.sensing.procfs.table.preadv", page_at_a_time)
    filler = "".join(f"filler_{i:04} {i}\n" for i in range(800))
    path.write_text(f"first 1\n{filler}last 2\n")
    table = pinned(path, (Row(b"\nfirst ", "first"), Row(b"\nlast ", "last")))
    path.write_text(f"first 3\n{filler}last 4\n")
    assert table.read() == [3, 4]
    assert PinnedFile(str(path), whole=1).read() == path.stat().st_size


def test_a_file_that_cannot_be_read_is_absent_and_says_why(path: Path) -> None:
    path.write_text("1\n")
    table = pinned(path, (Row(b"\n", "one"),))
    os.close(table.files[0].fd)
    assert (table.read(), table.error) == ([ABSENT], errno.EBADF)

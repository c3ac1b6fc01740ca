"""Parsers whose files change under them: values that outgrow their place, lines that come and go, rubbish."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.pinned import PinnedFile
from lmkd_py.kernel.procfs.counters import Counters
from lmkd_py.kernel.procfs.memcg_v1 import NumaStatV1
from lmkd_py.kernel.procfs.meminfo import KEYS, Meminfo
from lmkd_py.kernel.procfs.number import UNLIMITED, NumberFile
from lmkd_py.kernel.procfs.psi import Pressure
from lmkd_py.kernel.procfs.vmstat import NodeLru, NodeVmstat, Vmstat, node_paths
from tests.kernel.trees import ARM_V1, SHAPES, X86, flat, meminfo, text


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file"


def lines(values: dict[str, int]) -> str:
    """meminfo as the kernel prints it."""
    return "".join(f"{key + ':':<16}{value:>8} kB\n" for key, value in values.items())


def by_key(reader: Meminfo) -> dict[str, int]:
    return {key.decode(): value for key, value in zip(KEYS, reader.values, strict=True)}


def test_meminfo_follows_every_value_as_it_changes(path: Path) -> None:
    values = meminfo(X86)
    path.write_text(lines(values))
    reader = Meminfo(str(path))
    for change in ({"MemFree": 5}, {"SwapTotal": 99999999, "Cached": 0}, {"PageTables": 123}):
        values.update(change)
        path.write_text(lines(values))
        assert reader.read() > 0
        assert by_key(reader) == {key.decode(): values.get(key.decode(), ABSENT) for key in KEYS}


@given(st.dictionaries(st.sampled_from([key.decode() for key in KEYS]), st.integers(0, 10**12)), st.booleans())
def test_meminfo_is_right_whatever_the_widths(
    tmp_path_factory: pytest.TempPathFactory, new: dict[str, int], drop: bool
) -> None:
    path = tmp_path_factory.mktemp("m") / "meminfo"
    values = meminfo(ARM_V1)
    path.write_text(lines(values))
    reader = Meminfo(str(path))
    values.update(new)
    if drop:
        del values["Shmem"]
    for _ in range(2):  # once by search, once by the layout learnt from that
        path.write_text(lines(values))
        reader.read()
        assert by_key(reader) == {key.decode(): values.get(key.decode(), ABSENT) for key in KEYS}
    reader.file.close()


@pytest.mark.parametrize("outgrown", [{"CmaFree": 10**9}, {"CmaFree": 10**12}, {"MemFree": 10**9, "MemAvailable": 1}])
def test_a_number_that_outgrows_its_column_is_never_cut(path: Path, outgrown: dict[str, int]) -> None:
    values = meminfo(ARM_V1)
    values["MemAvailable"] = 10**9  # a line nobody reads: it may shrink by what another one grows
    path.write_text(lines(values))
    reader = Meminfo(str(path))
    values.update(outgrown)
    path.write_text(lines(values))
    reader.read()
    assert by_key(reader) == {key.decode(): values.get(key.decode(), ABSENT) for key in KEYS}


def test_a_line_that_vanishes_is_absent_and_comes_back(path: Path) -> None:
    values = meminfo(ARM_V1)
    path.write_text(lines(values))
    reader = Meminfo(str(path))
    del values["CmaFree"]
    path.write_text(lines(values))
    reader.read()
    assert by_key(reader)["CmaFree"] == ABSENT
    path.write_text(lines(meminfo(ARM_V1)))
    reader.read()
    assert by_key(reader)["CmaFree"] == meminfo(ARM_V1)["CmaFree"]


def test_meminfo_without_a_total_is_refused_by_name(path: Path) -> None:
    path.write_text(lines({key: value for key, value in meminfo(X86).items() if key != "MemTotal"}))
    with pytest.raises(ValueError, match=r"file: no line 'MemTotal'"):
        Meminfo(str(path))


def test_lines_in_another_order_are_still_found(path: Path) -> None:
    values = dict(reversed(meminfo(X86).items()))
    path.write_text(lines(values))
    reader = Meminfo(str(path))
    reader.read()
    assert by_key(reader) == {key.decode(): values.get(key.decode(), ABSENT) for key in KEYS}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_counter_is_found_again_wherever_it_wanders(shape: str, path: Path) -> None:
    values = flat(shape, "proc/vmstat")
    path.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
    reader = Vmstat(str(path))
    before = list(reader.values)
    values = {key: value * 1000 + 7 for key, value in values.items()}  # every line three digits longer
    path.write_text("".join(f"{key} {value}\n" for key, value in values.items()))
    reader.read()
    assert reader.values == [value * 1000 + 7 for value in before]
    shuffled = dict(sorted(values.items()))
    path.write_text("".join(f"{key} {value}\n" for key, value in shuffled.items()))
    reader.read()
    assert reader.values == [value * 1000 + 7 for value in before]


def test_an_undivided_refault_counter_wins_unless_it_is_zero(path: Path) -> None:
    head = "nr_inactive_file 1\nnr_active_file 2\n"
    for body, expected in (
        ("workingset_refault 7\nworkingset_refault_file 9\n", 7),
        ("workingset_refault 0\nworkingset_refault_file 9\n", 9),
        ("workingset_refault_file 9\n", 9),
        ("workingset_refault 0\n", 0),
        ("", ABSENT),
    ):
        path.write_text(head + body)
        reader = Vmstat(str(path))
        assert reader.values == [1, 2, expected, ABSENT, ABSENT, ABSENT]
        reader.counters.file.close()


def test_vmstat_without_its_lists_is_refused_by_name(path: Path) -> None:
    path.write_text("nr_active_file 2\n")
    with pytest.raises(ValueError, match=r"file: no line 'nr_inactive_file'"):
        Vmstat(str(path))
    path.write_text("nr_inactive_file 1\nnr_active_file two\n")
    with pytest.raises(ValueError, match=r"file: line 2: nr_active_file has no number"):
        Vmstat(str(path))


def test_a_counter_too_large_for_a_trace_is_absent(path: Path) -> None:
    path.write_text("oom 1\n")
    reader = Counters(str(path), (b"oom",))
    path.write_text(f"oom {1 << 63}\n")
    reader.read()
    assert reader.values == [ABSENT]


def test_nodes_are_summed_and_a_lost_node_makes_the_sum_absent(tmp_path: Path) -> None:
    base = tmp_path / "sys/devices/system/node"
    for number, refault in ((0, 5), (1, 7), (10, 30)):
        (base / f"node{number}").mkdir(parents=True)
        (base / f"node{number}/vmstat").write_text(f"nr_free_pages 1\nworkingset_refault_file {refault}\n")
    (base / "online").write_text("0-1,10\n")
    paths = node_paths(str(tmp_path))
    assert [Path(path).parent.name for path in paths] == ["node0", "node1", "node10"]
    nodes = NodeVmstat(paths)
    assert nodes.refault_pages() == 42
    (base / "node1/vmstat").write_text("")
    assert nodes.refault_pages() == ABSENT
    assert node_paths(str(tmp_path / "nothing")) == []


def test_the_only_node_of_a_kernel_without_numa_is_found_in_zoneinfo(tmp_path: Path) -> None:
    zoneinfo = tmp_path / "proc/zoneinfo"
    zoneinfo.parent.mkdir()
    node = "Node 0, zone      DMA\n  per-node stats\n      nr_inactive_file 3\n      nr_active_file 4\n"
    zoneinfo.write_text(f"{node}      workingset_refault_file 9\n  pages free     3840\nNode 0, zone    DMA32\n")
    assert node_paths(str(tmp_path)) == [str(zoneinfo)]
    assert NodeLru(node_paths(str(tmp_path))).read() == (3, 4, 9)
    assert NodeVmstat(node_paths(str(tmp_path))).refault_pages() == 9
    zoneinfo.write_text(f"{node}      workingset_refault_file 9\n  pages free     3840\nNode 1, zone   Normal\n")
    assert node_paths(str(tmp_path)) == []  # the first of several is not all of them
    zoneinfo.write_text(node)
    assert node_paths(str(tmp_path)) == []


def test_pressure_without_a_full_line_has_no_full_stall(path: Path) -> None:
    path.write_text("some avg10=99.99 avg60=0.00 avg300=0.00 total=18446744073709551615\n")
    with pytest.raises(ValueError, match="wanted some avg10"):
        Pressure(str(path))
    path.write_text("some avg10=100.00 avg60=0.00 avg300=0.00 total=77\n")
    psi = Pressure(str(path))
    assert (psi.some_avg10, psi.some_total_us, psi.full_avg10, psi.full_total_us) == (10000, 77, ABSENT, ABSENT)
    path.write_text("some avg10=0.05 avg60=0.00 avg300=0.00 total=78\nfull avg10=1.20 avg60=0.00 avg300=0.00 total=9\n")
    psi.read()
    assert (psi.some_avg10, psi.some_total_us, psi.full_avg10, psi.full_total_us) == (5, 78, 120, 9)


def test_a_number_file_knows_max_and_nothing_but_numbers(path: Path) -> None:
    for content, expected in (("42\n", 42), ("max\n", UNLIMITED), ("9223372036854771712\n", 9223372036854771712)):
        path.write_text(content)
        number = NumberFile(str(path))
        assert number.read() == expected
        number.file.close()
    path.write_text("-1\n")
    with pytest.raises(ValueError, match="wanted one number or max"):
        NumberFile(str(path))


def test_a_cgroup_without_hierarchy_is_refused_by_name(path: Path) -> None:
    path.write_text("total=1 N0=1\nfile=1 N0=1\nanon=0 N0=0\nunevictable=0 N0=0\n")
    with pytest.raises(ValueError, match="no hierarchical_file=N"):
        NumaStatV1(str(path))


def test_a_key_in_a_later_piece_of_the_file_is_still_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel hands out vmstat a page at a time once it is longer than that; a file on disk comes whole.
    def page_at_a_time(fd: int, room: tuple[memoryview], offset: int) -> int:
        return os.readv(fd, [room[0][:4096]]) if os.lseek(fd, offset, os.SEEK_SET) >= 0 else 0

    monkeypatch.setattr("lmkd_py.kernel.pinned.os.preadv", page_at_a_time)
    filler = "".join(f"filler_{i:04} {i}\n" for i in range(800))
    path.write_text(f"first 1\n{filler}last 2\n")
    reader = Counters(str(path), (b"first", b"last"))
    path.write_text(f"first 3\n{filler}last 4\n")
    assert reader.read() == 4096
    assert reader.values == [3, 4]
    assert PinnedFile(str(path), whole=1).read() == path.stat().st_size


def test_a_kernel_file_that_comes_in_pieces_is_read_whole_on_demand() -> None:
    child = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "print(1, flush=True); import time; time.sleep(600)"], stdout=subprocess.PIPE
    )
    assert child.stdout is not None
    child.stdout.readline()
    name = f"/proc/{child.pid}/smaps"
    total = len(Path(name).read_bytes())
    assert PinnedFile(name, whole=1).read() == total
    file = PinnedFile(name)
    assert file.read() < total
    while file.more():
        pass
    assert file.end - 1 == total
    child.kill()
    child.wait()
    child.stdout.close()


def test_a_file_that_outgrows_its_buffer_is_cut_and_not_overrun(path: Path) -> None:
    path.write_text("a 1\n" + "x" * 100 + "\n")
    file = PinnedFile(str(path))
    room = len(file.buf)
    path.write_text("a 1\n" + "x" * 100_000 + "\n")
    assert file.read() == room - 1
    assert len(file.buf) == room
    assert file.more() == 0
    path.write_text("a 2\n")
    assert file.read() == 4
    assert bytes(file.buf[: file.end]) == b"\na 2\n"
    file.close()
    file.close()
    assert file.read() == -9  # EBADF, not an exception
    assert file.end == 1


def test_a_file_that_cannot_be_opened_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-file"):
        PinnedFile(str(tmp_path / "no-such-file"))
    with pytest.raises(OSError, match=r"read .*: Is a directory"):
        PinnedFile(str(tmp_path))
    assert text(X86, "proc/meminfo").startswith("MemTotal")

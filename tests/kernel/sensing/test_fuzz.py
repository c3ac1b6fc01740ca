"""Any bytes in any file: at start a named error or values, later values or ABSENT, never anything else."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import MonitorConfig
from lmkd_py.core.snapshot import NO_OUTCOME
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.sensing.domain import Domain, open_domain
from lmkd_py.kernel.sensing.procfs import cgroup_v2, kswapd, memcg_v1, psi
from lmkd_py.kernel.sensing.procfs.meminfo import MEMINFO
from lmkd_py.kernel.sensing.procfs.table import BYTES_TO_KB, LIMIT, MAX_INT64, Row, Table
from lmkd_py.kernel.sensing.procfs.vmstat import FILE_LRU, RECLAIM, REFAULTS
from lmkd_py.kernel.sensing.procfs.zoneinfo import Zoneinfo
from tests.kernel.trees import ARM_V1, ARM_V2, MONITORS, TREES, X86, suppress_named

V1 = "dev/memcg/apps/"
NUMBER = (Row(b"\n", "number", BYTES_TO_KB, form=LIMIT, required=1),)


class Reader:
    """A table of one file."""

    def __init__(self, rows: tuple[Row, ...], path: str) -> None:
        names = tuple(dict.fromkeys(row.field for row in rows))
        self.table = Table((ABSENT,) * len(names), names)
        self.file = self.table.pin(path, rows)

    def read(self) -> list[int]:
        return self.table.read()


class Zones:
    """Zoneinfo, likewise."""

    def __init__(self, path: str) -> None:
        self.zoneinfo = Zoneinfo(path)
        self.file = self.zoneinfo.file

    def read(self) -> list[int]:
        self.zoneinfo.read()
        return [*self.zoneinfo.watermarks, self.zoneinfo.boost]


# Each with a file of a captured tree, or with the text of one.
READERS: dict[str, tuple[Callable[[str], Reader | Zones], str | bytes]] = {
    "meminfo": (partial(Reader, MEMINFO), f"{ARM_V1}/proc/meminfo"),
    "vmstat": (partial(Reader, (*FILE_LRU, *REFAULTS, *RECLAIM)), f"{ARM_V1}/proc/vmstat"),
    "zoneinfo": (Zones, f"{ARM_V2}/proc/zoneinfo"),
    "psi": (partial(Reader, psi.MEMORY), f"{ARM_V1}/proc/pressure/memory"),
    "number": (partial(Reader, NUMBER), f"{ARM_V1}/{V1}memory.usage_in_bytes"),
    "numa_stat v1": (partial(Reader, memcg_v1.NUMA_STAT), f"{ARM_V1}/{V1}memory.numa_stat"),
    "stat v1": (partial(Reader, memcg_v1.STAT), f"{ARM_V1}/{V1}memory.stat"),
    "numa_stat v2": (partial(Reader, cgroup_v2.NUMA_STAT), f"{ARM_V2}/dev/cg2/apps.slice/apps/memory.numa_stat"),
    "kswapd": (partial(Reader, kswapd.RUN_TIME), b"48493913 2341211 1902\n"),
}


def mutations(original: bytes) -> st.SearchStrategy[bytes]:
    """The real file with a stretch replaced: far nastier than noise."""
    places = st.integers(0, len(original))
    rubbish = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"\n", b" ", b"-1", b"0x10", b"1_0", b"9" * 30]))

    def replace(first: int, length: int, new: bytes) -> bytes:
        return original[:first] + new + original[first + length :]

    return st.one_of(st.binary(max_size=300), st.builds(replace, places, st.integers(0, 60), rubbish))


@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_reader_is_total(name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    make, source = READERS[name]
    original = source if isinstance(source, bytes) else (TREES / source).read_bytes()
    text = data.draw(mutations(original))
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(text)
    with suppress_named(str(path)):
        make(str(path)).file.close()
    path.write_bytes(original)
    reader = make(str(path))
    path.write_bytes(text)
    assert all(ABSENT <= value <= MAX_INT64 for value in reader.read())
    path.write_bytes(original)
    good = make(str(path))
    assert reader.read() == good.read()  # whatever it saw in between has left no trace
    reader.file.close()
    good.file.close()
    path.unlink()


@pytest.fixture(scope="module", params=["system", "v1", "v2"])
def broken(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Domain, list[Path]]:
    """A domain on its own copy of a tree, and the files that it has pinned."""
    shape, monitor = {
        "system": (X86, MonitorConfig()),
        "v1": (ARM_V1, MONITORS[ARM_V1]),
        "v2": (ARM_V2, MONITORS[ARM_V2]),
    }[request.param]
    root = tmp_path_factory.mktemp("broken")
    for source in (TREES / shape).rglob("*"):
        if source.is_file():
            target = root / source.relative_to(TREES / shape)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read_bytes())
    domain = open_domain(monitor, str(root))
    return domain, [Path(file.path) for file in domain.files()]


@given(data=st.data())
def test_a_sample_of_broken_files_is_a_snapshot_all_the_same(
    broken: tuple[Domain, list[Path]], data: st.DataObject
) -> None:
    domain, files = broken
    path = data.draw(st.sampled_from(files))
    original = path.read_bytes()
    path.write_bytes(data.draw(mutations(original)))
    snapshot = domain.sample(1, 1, 1, NO_OUTCOME, 0, 1)
    path.write_bytes(original)
    assert all(ABSENT <= value <= MAX_INT64 for value in snapshot if isinstance(value, int))
    assert domain.gone == 0  # unreadable is not removed

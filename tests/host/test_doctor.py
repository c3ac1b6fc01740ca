"""What doctor makes of a device's answers that no board of ours gives."""

from __future__ import annotations

from typing import cast

import pytest

from lmkd_py.host import doctor
from lmkd_py.host.adb.shell import Result
from lmkd_py.host.device import Device

ROOT = b"20 1 8:1 / / rw - ext4 /dev/vda rw\n"
CHILD = b"30 20 0:26 /apps /early rw - cgroup none rw,memory\n"
MEMCG = b"31 20 0:26 / /dev/mem\\040cg rw - cgroup none rw,memory\n"


class Scripted:
    """Has a mount table and some files."""

    def __init__(self, table: bytes, *files: str) -> None:
        self.table = table
        self.files = files

    def ask(self, command: list[str], root: bool = False) -> Result:
        if command[0] == "cat":
            return Result(0, self.table, b"")
        assert command[:2] == ["test", "-e"]
        return Result(0 if command[2] in self.files else 1, b"", b"")


@pytest.mark.parametrize(
    ("table", "files", "found"),
    [
        (ROOT + CHILD + MEMCG, ("/dev/mem cg/memory.pressure_level", "/early/memory.pressure_level"), "/dev/mem cg"),
        (ROOT + CHILD, ("/early/memory.pressure_level",), "/early"),
        (ROOT + MEMCG, (), ""),
        (ROOT, ("/sys/fs/cgroup/memory/memory.pressure_level",), ""),
        (b"", (), ""),
    ],
)
def test_vmpressure_is_looked_for_where_the_daemon_would(table: bytes, files: tuple[str, ...], found: str) -> None:
    device = cast("Device", Scripted(table, *files))
    assert doctor._vmpressure_at(device, True) == (f"{found}/memory.pressure_level" if found else "")

"""What an emulated board boots from: an archive as the kernel's own documentation has it, the same at every making."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.board.errors import SandboxError
from lmkd_py.board.qemu.cpio import FILE, LINK, archive
from lmkd_py.board.qemu.machine import QemuBoard
from lmkd_py.board.qemu.snapshot import BoardSnapshot, copy_sparse
from tests.support import require

NAMES = st.from_regex(r"[a-z]{1,8}(/[a-z.]{1,8}){0,3}", fullmatch=True)
MIB = 1 << 20


def entries(data: bytes) -> dict[str, tuple[int, bytes]]:
    """A reader of its own, written from the format's description: mode and contents by path."""
    found: dict[str, tuple[int, bytes]] = {}
    at = 0
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        mode, size, length = fields[1], fields[6], fields[11]
        name = data[at + 110 : at + 110 + length - 1].decode()
        start = -(-(at + 110 + length) // 4) * 4
        if name == "TRAILER!!!":
            assert not data[start:].strip(b"\0")
            return found
        found[name] = (mode, data[start : start + size])
        at = -(-(start + size) // 4) * 4


@given(st.dictionaries(NAMES, st.tuples(st.sampled_from([FILE | 0o644, FILE | 0o755, LINK]), st.binary(max_size=300))))
def test_an_archive_holds_every_file_below_its_directories(files: dict[str, tuple[int, bytes]]) -> None:
    files = {name: value for name, value in files.items() if not any(other.startswith(name + "/") for other in files)}
    data = archive(files)
    found = entries(data)
    assert {name: found[name] for name in files} == files
    order = list(found)
    for name in order:
        above = name.rpartition("/")[0]
        assert not above or (stat.S_ISDIR(found[above][0]) and order.index(above) < order.index(name))
    assert data == archive(dict(reversed(files.items())))
    assert len(data) % 512 == 0


def test_a_board_of_an_unknown_profile_is_refused(tmp_path: Path) -> None:
    wanted = "wanted one of small, board, old, new, lab, systemd, phone"
    with pytest.raises(SandboxError, match=rf"profile 'tablet'; {wanted}"):
        QemuBoard("tablet", tmp_path / "b")


def test_without_qemu_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SandboxError, match=r"apt-get install .*qemu-system-arm$"):
        QemuBoard("board", tmp_path / "b")


def test_what_is_no_snapshot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half/about.json").write_text('{"profile"')
    for name in ("half", "none"):
        with pytest.raises(SandboxError, match=rf"{name}: no snapshot; wanted one"):
            BoardSnapshot(tmp_path / name)


def test_a_snapshot_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    disk, initrd = tmp_path / "d", tmp_path / "i"
    disk.write_bytes(b"disk"), initrd.write_bytes(b"initrd")
    snapshot = BoardSnapshot(tmp_path / "s", "board")
    with snapshot.writing() as new:
        new.pack(disk, initrd)
    disk.write_bytes(b"later")

    def fails() -> None:
        with snapshot.writing() as new:
            new.pack(disk, initrd)
            raise SandboxError("QEMU has gone")

    with pytest.raises(SandboxError):
        fails()
    again = BoardSnapshot(tmp_path / "s")
    assert again.profile == "board"
    again.unpack(tmp_path / "d2", tmp_path / "i2")
    assert (tmp_path / "d2").read_bytes() == b"disk"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["d", "d2", "i", "i2", "s"]


def test_a_copy_of_an_empty_disk_takes_no_room(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    with source.open("wb") as file:
        file.truncate(8 * MIB)
        file.seek(4 * MIB + 5)
        file.write(b"here")
    copy_sparse(source, target)
    assert target.read_bytes() == source.read_bytes()
    require(source.stat().st_blocks < 1024, "a file system with sparse files below the temporary directory")
    assert target.stat().st_blocks < 1024

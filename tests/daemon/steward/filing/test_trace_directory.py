"""In traces/ only our own files count: what others put there is neither followed, counted nor removed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.daemon.steward.filing import trace_file
from lmkd_py.daemon.steward.filing.trace_directory import TraceDirectory, is_boot_id, number_of
from lmkd_py.daemon.steward.filing.trace_file import TraceFile
from lmkd_py.wire.frames import HEADER, Frame, read_frames
from tests.daemon.driver import BOOT

OTHER = "fedcba98-7654-3210-fedc-ba9876543210"


def write(path: Path, size: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (1, 1))  # older than all of ours
    return path


def begin(root: Path) -> TraceFile:
    trace = TraceFile(str(root), BOOT)
    trace.begin(b"header")
    return trace


def test_what_is_no_trace_of_ours_stays_and_stops_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trace_file, "KEEP_BYTES", 0)
    monkeypatch.setattr(trace_file, "ROTATE_BYTES", 0)
    elsewhere = tmp_path / "elsewhere"
    root, traces = tmp_path / "root", tmp_path / "root" / "traces"
    others = [
        write(traces / "README"),
        write(traces / "lost+found" / "0001.lmkt"),
        write(traces / OTHER / "README"),
        write(traces / OTHER / "1.lmkt"),
        write(traces / OTHER / "0001.lmkt.bak"),
        write(traces / OTHER.upper() / "0001.lmkt"),
        write(elsewhere / "0001.lmkt"),
        write(elsewhere / "0002.lmkt"),
    ]
    own = write(traces / OTHER / "0003.lmkt")
    (traces / OTHER / "0004.lmkt").symlink_to(elsewhere / "0002.lmkt")
    (traces / OTHER / "0005.lmkt").mkdir()
    os.mkfifo(traces / OTHER / "0006.lmkt")
    (traces / "00000000-0000-0000-0000-000000000001").symlink_to(elsewhere)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    trace = begin(root)
    assert trace.refusal == ""
    trace.close()
    assert all(path.exists() for path in others)
    left = sorted(str(path) for path in tmp_path.rglob("*"))
    assert sorted({*left, str(own)} - {trace.path, trace.directory}) == before
    assert not own.exists()


def test_names_that_are_taken_are_passed_over_whatever_they_are(tmp_path: Path) -> None:
    directory = tmp_path / "traces" / BOOT
    write(directory / "0001.lmkt")
    (directory / "0002.lmkt").mkdir()
    (directory / "0003.lmkt").symlink_to("/nowhere")
    trace = begin(tmp_path)
    assert trace.path == str(directory / "0004.lmkt")
    trace.close()
    with pytest.raises(FileNotFoundError):
        Path("/nowhere").stat()


@pytest.mark.parametrize("level", ["traces", "boot"])
@pytest.mark.parametrize("kind", ["link", "file"])
def test_a_directory_that_is_none_of_ours_is_not_entered_and_nothing_is_filed(
    tmp_path: Path, level: str, kind: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    root = tmp_path / "root"
    place = root / "traces" if level == "traces" else root / "traces" / BOOT
    place.parent.mkdir(parents=True)
    if kind == "link":
        place.symlink_to(elsewhere)
    else:
        place.write_text("")
    trace = begin(root)
    assert str(place) in trace.refusal
    assert "wanted a directory" in trace.refusal
    assert list(elsewhere.iterdir()) == []
    place.unlink()
    trace._retry_at = 0.0
    assert trace.catch_up()
    trace.close()
    assert trace.refusal == ""
    (frame,) = read_frames(Path(trace.path).read_bytes())
    assert isinstance(frame, Frame)
    assert (frame.kind, frame.payload) == (HEADER, b"header")


def test_a_file_that_somebody_removed_is_followed_by_another(tmp_path: Path) -> None:
    trace = begin(tmp_path)
    first = Path(trace.path)
    first.unlink()
    assert trace.record(b"record")
    trace.close()
    assert [type(part) for part in read_frames(Path(trace.path).read_bytes())] == [Frame, Frame]


@given(st.text(max_size=14))
def test_only_our_names_have_numbers(name: str) -> None:
    number = number_of(f"{name}.lmkt")
    assert number == 0 or name.lstrip("0") == str(number)
    assert number_of(name) == 0 or name.endswith(".lmkt")


@pytest.mark.parametrize(
    "name", ["\u0660\u0660\u0660\u0661.lmkt", "0000.lmkt", "+001.lmkt", "00_1.lmkt", "0001.LMKT", " 001.lmkt"]
)
def test_a_name_that_looks_like_ours_is_none(name: str) -> None:
    assert number_of(name) == 0


def test_boot_ids_are_uuids_as_the_kernel_writes_them() -> None:
    assert is_boot_id(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    for name in ("", "..", OTHER[:-1], OTHER + "0", OTHER.upper(), OTHER.replace("-", "0"), "g" + OTHER[1:]):
        assert not is_boot_id(name)


def test_the_newest_ends_come_first_and_only_so_many_bytes(tmp_path: Path) -> None:
    directory = tmp_path / "traces" / BOOT
    directory.mkdir(parents=True)
    for number in (1, 2, 3):
        (directory / f"{number:04d}.lmkt").write_bytes(bytes([number]) * 100)
    place = TraceDirectory(str(tmp_path), BOOT)
    found = place.tails(150, str(directory / "0003.lmkt"))
    assert found == [b"\2" * 100, b"\1" * 50]


def test_the_highest_name_in_others_hands_makes_nobody_take_a_name_that_is_none_of_ours(tmp_path: Path) -> None:
    boot = "2da3793d-9932-42d1-bcb5-8fb63fbea5ed"
    place = tmp_path / "traces" / boot
    place.mkdir(parents=True)
    for name in ("999999999.lmkt", "0001.lmkt"):
        (place / name).touch()
    for wanted in ("0002.lmkt", "0003.lmkt"):
        path, fd = TraceDirectory(str(tmp_path), boot).create()
        os.close(fd)
        assert path == str(place / wanted)
        assert number_of(os.path.basename(path))

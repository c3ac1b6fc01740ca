"""Collecting: nothing is fetched twice, nothing is lost, whatever is cut off where; names lead nowhere else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.host.collect import COLLECT, MAX_FRAME, Collection, whole_part
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.steps import run_steps
from lmkd_py.wire.frames import HEAD, NOTE, frame_bytes
from tests.host.conftest import Rack

BOOT = "0a1b2c3d-0000-4000-8000-00000000000a"
TRACES = "/data/adb/lmkd_py/traces"


def frames(begin: int, count: int) -> bytes:
    return b"".join(frame_bytes(NOTE, f"frame {number} {'x' * (number % 90)}".encode()) for number in
                    range(begin, begin + count))  # fmt: skip


def put(rack: Rack, data: bytes, name: str = "0001.lmkt", boot: str = BOOT) -> Path:
    place = rack.path(rack.endpoints[0], f"{TRACES}/{boot}/{name}")
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("ab") as file:
        file.write(data)
    return place


def collect(rack: Rack, out: Path) -> Collection:
    device = rack.device(rack.endpoints[0], retries=0)
    try:
        return run_steps(COLLECT, Collection(device, out, device_class="c"))
    finally:
        device.close()


def collected(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in out.rglob("*.lmkt")}


def test_what_a_link_leads_to_is_not_read_for_anybody(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    place = put(rack, frames(0, 3))
    secret = place.parents[2] / "secret"
    secret.mkdir()
    (secret / "0001.lmkt").write_bytes(b"a secret")
    (place.parent / "0002.lmkt").symlink_to(secret / "0001.lmkt")
    (place.parents[1] / "0a1b2c3d-0000-4000-8000-00000000000b").symlink_to(secret)
    (place.parent / "0003.lmkt").mkdir()
    collect(rack, out := tmp_path / "out")
    assert list(collected(out).values()) == [frames(0, 3)]


def test_only_what_is_new_is_fetched(rack: Rack, tmp_path: Path) -> None:
    serial = rack.add().address
    first, second = frames(0, 50), frames(50, 30)
    put(rack, first)
    out = tmp_path / "out"
    assert (done := collect(rack, out)).fetched == len(first)
    assert done.frames == 50
    assert collect(rack, out).fetched == 0
    put(rack, second)
    put(rack, frames(80, 2), "0002.lmkt")
    assert collect(rack, out).frames == 32
    place = f"c/{serial}/{BOOT}"
    assert collected(out) == {f"{place}/0001.lmkt": first + second, f"{place}/0002.lmkt": frames(80, 2)}


def test_a_frame_that_is_just_being_written_waits_for_the_next_time(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    data = frames(0, 20)
    put(rack, data[:-5])
    assert collect(rack, tmp_path / "out").frames == 19
    put(rack, data[-5:])
    assert collect(rack, tmp_path / "out").frames == 1
    assert list(collected(tmp_path / "out").values()) == [data]


def test_damage_on_the_device_is_filed_as_it_is(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    data = bytearray(frames(0, 20))
    data[200] ^= 1
    put(rack, bytes(data))
    done = collect(rack, tmp_path / "out")
    assert done.damaged > 0
    assert list(collected(tmp_path / "out").values()) == [bytes(data)]


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.data())
def test_however_a_trace_is_cut_into_pieces_its_frames_are_filed_once(sizes: list[int], data: st.DataObject) -> None:
    whole = b"".join(frame_bytes(NOTE, bytes([65 + size % 26]) * size) for size in sizes)
    at = filed = 0
    while at < len(whole):
        end = data.draw(st.integers(at + 1, len(whole)))
        length, count, damaged = whole_part(whole[at:end], growing=True)
        assert damaged == 0
        filed += count
        if not length and end == len(whole):
            break
        at += length
        if not length:  # the writer goes on
            length, count, _ = whole_part(whole[at:], growing=True)
            filed += count
            at += length
    assert (at, filed) == (len(whole), len(sizes))


def test_a_stretch_without_a_frame_is_not_waited_for_for_ever() -> None:
    length, count, damaged = whole_part(bytes(3 * MAX_FRAME), growing=True)
    assert (length, count, damaged) == (2 * MAX_FRAME, 0, 2 * MAX_FRAME)
    assert whole_part(bytes(100), growing=False) == (100, 0, 100)
    assert HEAD.size + 0xFFFF <= MAX_FRAME


def test_a_host_that_died_between_bytes_and_cursor_doubles_nothing(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    put(rack, frames(0, 40))
    out = tmp_path / "out"
    collect(rack, out)
    (local,) = out.rglob("*.lmkt")
    cursor = local.parent / "cursor.json"
    size = len(frames(0, 25))
    cursor.write_text(json.dumps({"schema": 1, "files": {"0001.lmkt": size}}))
    local.write_bytes(frames(0, 25) + b"half of what foll")
    assert collect(rack, out).frames == 15
    assert local.read_bytes() == frames(0, 40)


@pytest.mark.parametrize("cursor", ["", "{", "[]", '{"files": 3}', '{"files": {"0001.lmkt": "x"}}',
                                    '{"files": {"0001.lmkt": 99999999}}'])  # fmt: skip
def test_a_cursor_that_is_none_means_from_the_start(rack: Rack, tmp_path: Path, cursor: str) -> None:
    rack.add()
    put(rack, frames(0, 10))
    out = tmp_path / "out"
    collect(rack, out)
    (local,) = out.rglob("*.lmkt")
    (local.parent / "cursor.json").write_text(cursor)
    assert collect(rack, out).frames == 10
    assert local.read_bytes() == frames(0, 10)


def test_another_file_of_the_same_name_does_not_overwrite_the_first(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    place = put(rack, frames(0, 10))
    out = tmp_path / "out"
    collect(rack, out)
    place.unlink()
    put(rack, frames(100, 30))
    assert collect(rack, out).frames == 30
    assert sorted(collected(out).values()) == sorted([frames(0, 10), frames(100, 30)])


def test_what_a_power_cut_took_from_a_file_is_kept_here(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    place = put(rack, frames(0, 10))
    assert collect(rack, tmp_path / "out").frames == 10
    for kept in (frames(0, 4), frames(0, 4) + b"torn", b""):
        place.write_bytes(kept)
        assert collect(rack, tmp_path / "out").fetched == 0
        assert list(collected(tmp_path / "out").values()) == [frames(0, 10)]


def test_what_is_no_trace_of_ours_is_passed_over_and_nothing_lies_outside(rack: Rack, tmp_path: Path) -> None:
    rack.add("$(touch pwned)/../x")
    put(rack, frames(0, 3))
    for name, boot in (("0001.lmkt", "$(touch pwned)"), ("x y.lmkt", BOOT), ("..lmkt", BOOT), ("1.lmkt", BOOT),
                       ("0002.lmkt\n9 ../../../../etc/0001.lmkt", "nl")):  # fmt: skip
        if "/" in name:
            continue
        put(rack, b"x", name, boot)
    out = tmp_path / "deep" / "out"
    done = collect(rack, out)
    assert len(collected(out)) == 1
    assert done.complaints
    assert not list(tmp_path.rglob("pwned"))


def test_a_device_without_traces_has_nothing_new(rack: Rack, tmp_path: Path) -> None:
    rack.add()
    assert collect(rack, tmp_path / "out").fetched == 0


@pytest.mark.parametrize("after", [300, 700, 1500, 4000, 20_000, 60_000])
def test_a_collection_that_is_cut_off_anywhere_goes_on_where_it_was(rack: Rack, tmp_path: Path, after: int) -> None:
    endpoint = rack.add()
    whole = frames(0, 1000)
    put(rack, whole)
    endpoint.device.faults.drop_after, endpoint.device.faults.drop_times = after, 1
    try:
        collect(rack, tmp_path / "out")
    except DeviceError as error:
        cut: DeviceError | None = error
    else:
        cut = None
    assert cut is None or cut.fault == Fault.TRANSPORT
    endpoint.device.faults.drop_after = 0
    collect(rack, tmp_path / "out")
    assert list(collected(tmp_path / "out").values()) == [whole]

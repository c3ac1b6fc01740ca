"""Files to a device and back: old or new and never half, equal ones left alone, wrong bytes never put in place."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lmkd_py.host.adb.direct import DirectLink
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.pull import PIECE_BYTES, pull
from lmkd_py.host.push import push_atomic
from lmkd_py.host.tree import Tree, push_tree, tree_is_there
from tests.host.conftest import Rack
from tests.host.peer import Peer, Plug
from tests.support import wait_until

TARGET = "/data/adb/there/file"
OLD, NEW = b"old", bytes(range(256)) * 700


def only(folder: Path, *names: str) -> bool:
    return sorted(os.listdir(folder)) == sorted(names)


def test_what_is_pushed_is_there_with_its_mode_and_nothing_beside_it(any_device: Device, rack: Rack) -> None:
    assert push_atomic(any_device, NEW, TARGET, 0o640)
    place = rack.path(rack.endpoints[0], TARGET)
    assert place.read_bytes() == NEW
    assert place.stat().st_mode & 0o777 == 0o640
    assert only(place.parent, "file")


def test_an_equal_file_is_not_sent_again(rack: Rack) -> None:
    device = rack.device(rack.add())
    assert push_atomic(device, NEW, TARGET)
    place = rack.path(rack.endpoints[0], TARGET)
    before = place.stat().st_ino
    assert not push_atomic(device, NEW, TARGET)
    assert place.stat().st_ino == before


@pytest.mark.parametrize("name", ["a b", "$(touch pwned)", "q'\"", "semi;colon", "line\nend", "-rf"])
def test_hostile_names_are_names(rack: Rack, name: str) -> None:
    device = rack.device(rack.add())
    push_atomic(device, NEW, f"/data/adb/there/{name}")
    folder = rack.path(rack.endpoints[0], "/data/adb/there")
    assert only(folder, name)


@pytest.mark.parametrize(
    ("knob", "value", "fault"),
    [("corrupt_files", 1, Fault.VERIFY), ("no_space_after", 1000, Fault.NO_SPACE), ("read_only", "/data/adb",
     Fault.REFUSED)],
)  # fmt: skip
def test_a_bad_push_leaves_the_old_file_and_says_why(rack: Rack, knob: str, value: object, fault: Fault) -> None:
    endpoint = rack.add()
    device = rack.device(endpoint)
    push_atomic(device, OLD, TARGET)
    setattr(endpoint.device.faults, knob, value)
    with pytest.raises(DeviceError) as failed:
        push_atomic(device, NEW, TARGET)
    assert failed.value.fault == fault
    place = rack.path(endpoint, TARGET)
    assert place.read_bytes() == OLD
    assert only(place.parent, "file")


@pytest.mark.parametrize("after", [1, 3000, 100_000, 179_000, 182_000])
def test_a_push_that_is_cut_off_anywhere_leaves_old_or_new_and_the_next_completes(rack: Rack, after: int) -> None:
    endpoint = rack.add()
    device = rack.device(endpoint, retries=0)
    push_atomic(device, OLD, TARGET)
    device.close()
    endpoint.device.faults.drop_after, endpoint.device.faults.drop_times = after, 1
    try:
        push_atomic(device, NEW, TARGET)
    except DeviceError:
        pass
    place = rack.path(endpoint, TARGET)
    assert place.read_bytes() in (OLD, NEW)
    endpoint.device.faults.drop_after = 0
    push_atomic(device, NEW, TARGET)
    assert place.read_bytes() == NEW
    assert only(place.parent, "file")


def test_a_push_over_a_connection_that_breaks_once_succeeds_by_itself(rack: Rack) -> None:
    endpoint = rack.add()
    endpoint.device.faults.drop_after, endpoint.device.faults.drop_times = 100_000, 1
    assert push_atomic(rack.device(endpoint), NEW, TARGET)
    assert rack.path(endpoint, TARGET).read_bytes() == NEW


TREE = Tree({"a/one.py": b"1", "a/b/two.py": b"2" * 5000, "three": b""})


def test_a_tree_appears_whole_and_is_known_again(any_device: Device, rack: Rack) -> None:
    assert push_tree(any_device, TREE, "/data/adb/there/tree")
    place = rack.path(rack.endpoints[0], "/data/adb/there/tree")
    found = {p.relative_to(place).as_posix(): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    assert found == {**TREE.files, "MANIFEST": TREE.manifest}
    assert only(place.parent, "tree")
    assert not push_tree(any_device, TREE, "/data/adb/there/tree")


@pytest.mark.parametrize("damage", ["change", "add", "remove"])
def test_a_tree_that_was_tampered_with_is_pushed_again(rack: Rack, damage: str) -> None:
    device = rack.device(rack.add())
    push_tree(device, TREE, "/data/adb/there/tree")
    place = rack.path(rack.endpoints[0], "/data/adb/there/tree")
    if damage == "change":
        (place / "a/one.py").write_bytes(b"x")
    elif damage == "add":
        (place / "a/more.py").write_bytes(b"x")
    else:
        (place / "a/one.py").unlink()
    assert not tree_is_there(device, TREE, "/data/adb/there/tree")
    assert push_tree(device, TREE, "/data/adb/there/tree")
    assert tree_is_there(device, TREE, "/data/adb/there/tree")


@pytest.mark.parametrize("name", ["../up", "a/../../b", "/etc/x", "a\nb", "a\\b", "", "MANIFEST", "a b", "$(id)"])
def test_a_tree_takes_no_name_that_leads_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="file name"):
        Tree({name: b""})


def test_pull_goes_on_where_it_was_cut_off(rack: Rack, tmp_path: Path) -> None:
    endpoint = rack.add()
    device = rack.device(endpoint)
    data = os.urandom(PIECE_BYTES + 5000)
    push_atomic(device, data, TARGET)
    (tmp_path / "local.part").write_bytes(data[:PIECE_BYTES])
    assert pull(device, TARGET, tmp_path / "local") == 5000
    assert (tmp_path / "local").read_bytes() == data
    assert only(tmp_path, "local", "devices")


def test_a_part_of_another_file_is_thrown_away(rack: Rack, tmp_path: Path) -> None:
    device = rack.device(rack.add())
    push_atomic(device, NEW, TARGET)
    (tmp_path / "local.part").write_bytes(b"something else")
    pull(device, TARGET, tmp_path / "local")
    assert (tmp_path / "local").read_bytes() == NEW


def test_what_is_not_there_leaves_nothing_here(rack: Rack, tmp_path: Path) -> None:
    device = rack.device(rack.add())
    with pytest.raises(DeviceError) as missing:
        pull(device, "/data/adb/none", tmp_path / "local")
    assert missing.value.fault == Fault.REFUSED
    assert only(tmp_path, "devices")


def test_many_small_files_go_and_come_over_one_stream(any_device: Device, rack: Rack) -> None:
    import io

    from lmkd_py.host.adb.sync import Sending

    names = [f"/data/local/tmp/f{number}" for number in range(200)]
    any_device.send_files(lambda: [Sending(name, 0o100644, io.BytesIO(name.encode()).read) for name in names])
    got: dict[str, bytes] = {}
    any_device.fetch_files(names, lambda name, data: got.update({name: got.get(name, b"") + data}), 1000)
    assert got == {name: name.encode() for name in names}


def test_a_device_that_wants_its_answer_taken_first_is_not_waited_for_in_vain() -> None:
    # It reads nothing while its own message is unacknowledged, as a file service between two files does.
    seen: list[bytes] = []

    def act(plug: Plug) -> None:
        plug.greet()
        local = plug.opened()
        plug.send(b"WRTE", 1, local, b"an answer")
        seen.extend((plug.read()[0], plug.read()[0]))
        plug.send(b"OKAY", 1, local)
        seen.append(plug.read()[0])

    with Peer(act) as peer:
        link = DirectLink("127.0.0.1", peer.port, [], time.monotonic() + 10, 1.0, lambda: None)
        stream = link.open("sync:")
        wait_until("an answer has come", stream.pending)
        stream.send(b"one")  # nothing is under way: it goes out at once
        stream.send(b"two")
        assert stream.recv() == b"an answer"
        wait_until("both writes are acknowledged", lambda: seen == [b"WRTE", b"OKAY", b"WRTE"], seen=lambda: seen)
        link.close()

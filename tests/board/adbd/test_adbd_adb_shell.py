"""adb-shell, plain and asyncio, against the endpoint, and against every fault it can have."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from adb_shell.adb_device import AdbDeviceTcp  # type: ignore[import-untyped]
from adb_shell.adb_device_async import AdbDeviceTcpAsync  # type: ignore[import-untyped]
from adb_shell.auth.keygen import keygen  # type: ignore[import-untyped]
from adb_shell.auth.sign_pythonrsa import PythonRSASigner  # type: ignore[import-untyped]
from adb_shell.exceptions import (  # type: ignore[import-untyped]
    AdbCommandFailureException,
    AdbConnectionError,
    AdbTimeoutError,
    DeviceAuthError,
    PushFailedError,
    TcpTimeoutException,
)

from lmkd_py.board.adbd.device import LEGACY, AdbdDevice
from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.board.adbd.faults import Faults
from lmkd_py.board.virtual_device import VirtualDevice
from tests.board.adbd_tools import connect
from tests.support import wait_until

MakeDevice = Callable[..., tuple[AdbdDevice, str]]
TMP = "/data/local/tmp"


def write(path: Path, size: int) -> bytes:
    data = os.urandom(size)
    path.write_bytes(data)
    return data


@pytest.mark.parametrize("personality", ["modern", "legacy"])
def test_shell_push_pull_list_and_stat(make_device: MakeDevice, tmp_path: Path, personality: str) -> None:
    options = {"personality": LEGACY} if personality == "legacy" else {}
    _, address = make_device(**options)
    device = connect(address)
    assert device.shell("echo one; echo two >&2") == ("one\r\ntwo\r\n" if options else "one\ntwo\n")
    data = write(tmp_path / "f", size := 20_000 if options else 2_000_000)
    device.push(str(tmp_path / "f"), f"{TMP}/f", st_mode=0o100640, mtime=1_500_000_000)
    device.pull(f"{TMP}/f", str(tmp_path / "g"))
    assert (tmp_path / "g").read_bytes() == data
    assert device.stat(f"{TMP}/f") == (0o100640, size, 1_500_000_000)
    assert {bytes(entry.filename) for entry in device.list(TMP)} == {b".", b"..", b"f"}
    assert device.stat(f"{TMP}/nothing") == (0, 0, 0)
    device.close()


def test_the_asyncio_class_works_too(make_device: MakeDevice, tmp_path: Path) -> None:
    _, address = make_device()
    host, _, port = address.rpartition(":")
    data = write(tmp_path / "f", 1_500_000)

    async def work() -> None:
        device = AdbDeviceTcpAsync(host, int(port), default_transport_timeout_s=20)
        await device.connect()
        await device.push(str(tmp_path / "f"), f"{TMP}/f")
        assert await device.exec_out(f"cat {TMP}/f", decode=False) == data
        await device.pull(f"{TMP}/f", str(tmp_path / "g"))
        await device.close()

    asyncio.run(work())
    assert (tmp_path / "g").read_bytes() == data


def test_keys_let_in_or_keep_out(make_device: MakeDevice, tmp_path: Path) -> None:
    keygen(str(tmp_path / "key"))
    signer = PythonRSASigner((tmp_path / "key.pub").read_text(), (tmp_path / "key").read_text())
    _, open_address = make_device("open", auth_mode="accept-new", key_file=str(tmp_path / "keys"))
    _, strict_address = make_device("strict", auth_mode="never")
    for address, allowed in ((open_address, True), (strict_address, False)):
        host, _, port = address.rpartition(":")
        device = AdbDeviceTcp(host, int(port), default_transport_timeout_s=20 if allowed else 2)
        if allowed:
            device.connect(rsa_keys=[signer], auth_timeout_s=20)
            assert device.shell("echo in") == "in\n"
        else:
            with pytest.raises(DeviceAuthError):
                device.connect(rsa_keys=[])
        device.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"faults": Faults(no_space_after=100_000)}, b"No space left on device"),
        ({"data_bytes": 1 << 18}, b"No space left on device"),
        ({"faults": Faults(read_only=TMP)}, b"Read-only file system"),
        ({"read_only": TMP}, b"Read-only file system"),
    ],
)
def test_a_push_that_cannot_succeed_says_why_and_leaves_nothing(
    make_device: MakeDevice, tmp_path: Path, options: dict[str, object], reason: bytes
) -> None:
    _, address = make_device(**options)
    client = connect(address)
    write(tmp_path / "f", 400_000)
    with pytest.raises(PushFailedError) as told:
        client.push(str(tmp_path / "f"), f"{TMP}/f")
    assert reason in bytes(told.value.args[0])
    client.close()
    assert connect(address).stat(f"{TMP}/f") == (0, 0, 0)


def test_a_corrupt_write_has_the_right_size_and_the_wrong_bytes(make_device: MakeDevice, tmp_path: Path) -> None:
    device, address = make_device(faults=Faults(corrupt_files=1))
    client = connect(address)
    data = write(tmp_path / "f", 1000)
    for right in (False, True):
        client.push(str(tmp_path / "f"), f"{TMP}/f")
        written = (Path(device.root) / "data/local/tmp/f").read_bytes()
        assert (len(written), written == data) == (1000, right)


def push_until_dropped(device: AdbdDevice, address: str, file: Path) -> None:
    """Pushes that end with the cut connection; on a slow machine a client's own second may be over before."""
    for _ in range(60):
        with pytest.raises(Exception):  # noqa: B017, PT011 - whatever a client makes of a dead line
            connect(address, 1).push(str(file), f"{TMP}/f", read_timeout_s=1)
        if device.faults.drop_times == 0:
            return
    pytest.fail("the fault never struck")


@pytest.mark.parametrize(
    "after", [pytest.param(10, marks=pytest.mark.all_suite), 70, pytest.param(100_000, marks=pytest.mark.all_suite)]
)
def test_a_dropped_connection_leaves_the_old_file_or_none(make_device: MakeDevice, tmp_path: Path, after: int) -> None:
    device, address = make_device()
    client = connect(address)
    write(tmp_path / "f", 300_000)
    client.close()
    device.faults.drop_after, device.faults.drop_times = after, 1
    push_until_dropped(device, address, tmp_path / "f")
    client = connect(address)
    assert client.stat(f"{TMP}/f")[1] in (0, 300_000)
    client.push(str(tmp_path / "f"), f"{TMP}/f")
    assert client.stat(f"{TMP}/f")[1] == 300_000


def test_a_connection_can_be_cut_at_a_named_request(make_device: MakeDevice, tmp_path: Path) -> None:
    device, address = make_device(faults=Faults(drop_on="SEND", drop_times=1))
    write(tmp_path / "f", 10)
    push_until_dropped(device, address, tmp_path / "f")
    client = connect(address)
    client.push(str(tmp_path / "f"), f"{TMP}/f")
    assert client.stat(f"{TMP}/f")[1] == 10


def test_a_slow_reader_gets_everything(make_device: MakeDevice, tmp_path: Path) -> None:
    _, address = make_device(faults=Faults(slow_bytes_per_s=400_000))
    host, _, port = address.rpartition(":")
    # Small enough for adb-shell's own bug with short writes not to strike; ours is the host room's to test.
    data = write(tmp_path / "f", 20_000)
    client = AdbDeviceTcp(host, int(port), default_transport_timeout_s=20)
    client.connect()
    client.push(str(tmp_path / "f"), f"{TMP}/f")
    assert client.exec_out(f"cat {TMP}/f", decode=False) == data
    client.close()


def test_boot_is_complete_after_its_time_and_not_before(make_device: MakeDevice) -> None:
    _, booting = make_device(faults=Faults(boot_s=3600.0))
    assert connect(booting).shell("getprop sys.boot_completed") == "\n"
    _, address = make_device(faults=Faults(boot_s=0.5))
    client = connect(address)
    wait_until("it has booted", lambda: client.shell("getprop sys.boot_completed") == "1\n")


def test_root_can_always_cost_the_connection(make_device: MakeDevice) -> None:
    _, address = make_device(faults=Faults(root_disconnect_s=0.2))
    client = connect(address)
    assert "restarting adbd as root" in client._service(b"root", b"")

    def answers() -> bool:
        try:
            return bool(connect(address, 2).shell("id -u", read_timeout_s=2) == "0\n")
        except (OSError, AdbTimeoutError, AdbConnectionError, TcpTimeoutException):
            return False

    wait_until("it answers as root", answers)


def test_properties_hold_any_value_and_refuse_odd_names(make_device: MakeDevice) -> None:
    nasty = "a'b\"c $(touch /data/x) `id`; \\n\n../../etc"
    device, address = make_device("it's; $(id)", properties={"ro.product.model": nasty})
    client = connect(address)
    assert client.shell("getprop ro.product.model") == nasty + "\n"
    assert client.shell("getprop ro.serialno") == "it's; $(id)\n"
    assert client.shell("getprop ../../etc/passwd fallback; getprop .. ; getprop no.such 'd e'") == "fallback\n\nd e\n"
    assert client.shell(
        "setprop a.b 'x y'; getprop a.b; setprop ro.serialno z; setprop ../x 1; getprop ro.serialno"
    ) == ("x y\nsetprop: ro.serialno is read-only\nsetprop: bad property name\nit's; $(id)\n")
    assert not (Path(device.root) / "data/x").exists()


def test_no_path_or_link_leads_out_of_the_device(make_device: MakeDevice, tmp_path: Path) -> None:
    device, address = make_device()
    client = connect(address)
    secret = tmp_path / "secret"
    secret.write_text("secret")
    client.shell(
        f"ln -s ../../../../../../../..{secret} {TMP}/up; ln -s {secret} {TMP}/abs; ln -s /proc/1/root {TMP}/r"
    )
    for path in (f"{TMP}/up", f"{TMP}/abs", f"../../../..{secret}", f"{TMP}/r{secret}", f"/proc/self/root{secret}"):
        with pytest.raises(AdbCommandFailureException):
            client.pull(path, str(tmp_path / "got"))
        client = connect(address)
    for path in (f"{TMP}/../../../../../climbed", f"{TMP}/up/../climbed2"):
        write(tmp_path / "f", 3)
        try:
            client.push(str(tmp_path / "f"), path)
        except PushFailedError:
            client = connect(address)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["device-virtual", "f", "got", "secret"]
    assert (Path(device.root) / "climbed").exists()
    assert not Path("/climbed").exists()


def test_what_a_client_leaves_behind_is_reaped_and_counted(
    make_device: MakeDevice, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, address = make_device()
    client = connect(address)
    assert client.shell("for i in 1 2 3; do (sleep 60 >&- 2>&- <&- &) ; done; echo started") == "started\n"
    assert not [child for child in device._children if child.code is None]
    monkeypatch.setattr("lmkd_py.board.adbd.device.MAX_CHILDREN", 2)
    others = [connect(address) for _ in range(3)]
    streams = [other._open(b"shell:echo x; sleep 60", 20, 20, None) for other in others[:2]]
    assert len(streams) == 2
    with pytest.raises(Exception):  # noqa: B017, PT011 - refused: CLSE
        others[2]._open(b"shell:echo x", 1, 1, None)


def test_the_programs_of_a_device_die_with_it_also_when_it_is_killed(spaces: None, tmp_path: Path) -> None:
    device = VirtualDevice(str(tmp_path / "device"))
    client = connect(device.address)
    pid = int(client.shell("setsid sleep 600 >/dev/null 2>&1 </dev/null & echo $!"))
    assert os.path.exists(f"/proc/{pid}")
    device.power_cut()
    wait_until("the process has ended", lambda: not os.path.exists(f"/proc/{pid}"))
    device.close()


def test_a_client_that_came_in_while_everybody_was_hung_up_on_is_not_served(make_device: MakeDevice) -> None:
    # Its connection stands, but serving it begins a turn of the loop later: nobody would ever hang up on it.
    device, _ = make_device()

    async def late() -> bytes:
        endpoint = Endpoint(device)
        await endpoint.start()
        await endpoint.stop()
        with socket.create_server(("127.0.0.1", 0)) as listener:
            ours, (theirs, _) = socket.create_connection(listener.getsockname()), listener.accept()
        served = asyncio.create_task(endpoint._serve(*await asyncio.open_connection(sock=theirs)))
        with ours:
            ours.setblocking(False)
            said = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(ours, 1), 60)
        await served
        return said

    assert asyncio.run(late()) == b""

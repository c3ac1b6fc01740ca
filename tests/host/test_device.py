"""Commands on a device: true status, split streams, nothing in a word is executed, cut connections are told apart."""

from __future__ import annotations

import os

import pytest

from lmkd_py.host.device import Device, RootKind
from lmkd_py.host.errors import DeviceError, Fault
from tests.host.conftest import Rack

HOSTILE = [
    "$(touch /data/local/tmp/pwned)",
    "`id`",
    "; reboot",
    "a'b",
    'a"b',
    "a\nb",
    "../../etc",
    "\\",
    "-n",
    "*",
    "é\t",
]


def test_status_and_streams_come_back_as_they_were(any_device: Device) -> None:
    result = any_device.run("printf 'a\\r\\n\\000b'; sleep 0.2; printf 'e\\n' >&2; exit 3")
    assert result == (3, b"a\r\n\0b", b"e\n")


@pytest.mark.parametrize(
    ("script", "status"), [("true", 0), ("exit 255", 255), ("kill -9 $$", 137), ("nonsense_", 127)]
)
def test_the_status_is_the_commands_own(any_device: Device, script: str, status: int) -> None:
    assert any_device.run(script).rc == status


def test_words_are_never_executed_nor_expanded(any_device: Device, rack: Rack) -> None:
    result = any_device.run(["printf", "%s\\0", *HOSTILE])
    assert result.out.decode().split("\0")[:-1] == HOSTILE
    assert not rack.path(rack.endpoints[0], "/data/local/tmp/pwned").exists()


def test_output_that_looks_like_the_end_is_output(any_device: Device) -> None:
    result = any_device.run("echo deadbeef:out; echo 0123456789abcdef:0; exit 4")
    assert result.rc == 4
    assert result.out == b"deadbeef:out\n0123456789abcdef:0\n"


def test_a_word_with_a_nul_is_refused_here(any_device: Device) -> None:
    with pytest.raises(DeviceError) as refused:
        any_device.run(["echo", "a\0b"])
    assert refused.value.fault == Fault.LOCAL


def test_output_without_end_is_cut_off(rack: Rack) -> None:
    device = rack.device(rack.add())
    with pytest.raises(DeviceError) as cut:
        device.run("cat /dev/zero", limit=1 << 20)
    assert cut.value.fault == Fault.PROTOCOL
    assert device.run("echo still there").text == "still there"


def test_a_command_that_hangs_ends_with_its_time(rack: Rack) -> None:
    device = rack.device(rack.add())
    with pytest.raises(DeviceError) as late:
        device.run("sleep 60", timeout_s=0.5)
    assert late.value.fault == Fault.TIMEOUT
    assert not late.value.transient


def test_a_cut_connection_is_no_exit_status(rack: Rack) -> None:
    endpoint = rack.add()
    endpoint.device.faults.drop_on, endpoint.device.faults.drop_times = "marker", 1
    with pytest.raises(DeviceError) as cut:
        rack.device(endpoint).run("echo marker")
    assert cut.value.fault == Fault.TRANSPORT


def test_what_may_be_repeated_is_repeated_over_a_new_connection(rack: Rack) -> None:
    endpoint = rack.add()
    endpoint.device.faults.drop_on, endpoint.device.faults.drop_times = "marker", 2
    assert rack.device(endpoint).ask("echo marker").text == "marker"


def test_retries_end(rack: Rack) -> None:
    endpoint = rack.add()
    endpoint.device.faults.drop_on = "marker"
    with pytest.raises(DeviceError) as cut:
        rack.device(endpoint, retries=1).ask("echo marker")
    assert cut.value.fault == Fault.TRANSPORT


def test_nobody_there_is_offline_and_said_at_once(rack: Rack) -> None:
    endpoint = rack.add()
    device = rack.device(endpoint)
    rack.do(endpoint.stop())
    with pytest.raises(DeviceError) as gone:
        device.ask("true")
    assert gone.value.fault == Fault.OFFLINE
    assert endpoint.address in str(gone.value)


def test_a_device_that_says_nothing_is_given_up(rack: Rack) -> None:
    endpoint = rack.add()
    endpoint.device.faults.mute = True
    with pytest.raises(DeviceError) as mute:
        rack.device(endpoint, timeout_s=1.0).ask("true")
    assert mute.value.fault == Fault.TIMEOUT


def test_an_unauthorised_device_is_told_once_and_never_worked_on(rack: Rack) -> None:
    asked: list[str] = []
    endpoint = rack.add(auth_mode="never")
    device = rack.device(endpoint, asked=asked.append)
    for _ in range(2):
        with pytest.raises(DeviceError) as refused:
            device.ask("true")
        assert refused.value.fault == Fault.UNAUTHORIZED
        assert "screen" in str(refused.value)
    assert asked == [endpoint.address]


def test_root_is_found_where_adbd_is_root(rack: Rack) -> None:
    assert rack.device(rack.add()).root_kind() == RootKind.ADBD


def test_interrupting_ends_a_command_from_another_thread(rack: Rack) -> None:
    import threading

    device = rack.device(rack.add())
    device.ask("true")
    threading.Timer(0.3, device.interrupt).start()
    with pytest.raises(DeviceError) as stopped:
        device.run("sleep 60", again=True)
    assert stopped.value.fault == Fault.INTERRUPTED


def test_an_error_names_device_and_command_and_keeps_the_output(rack: Rack) -> None:
    device = rack.device(rack.add())
    with pytest.raises(DeviceError) as failed:
        device.must("echo why >&2; exit 5", "the step")
    error = failed.value
    assert (error.serial, error.command, error.output) == (device.serial, "echo why >&2; exit 5", "why")
    assert str(error) == f"{device.serial}: the step failed with status 5: why"
    assert os.linesep not in str(error)

"""Many devices at once: the good ones all succeed, each bad one gets its own line, memory stays small."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from lmkd_py.board.adbd.endpoint import Endpoint
from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.device import Device
from lmkd_py.host.errors import Fault
from lmkd_py.host.fleet import DeviceReport, Interrupted, run_fleet
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.steps import run_steps
from lmkd_py.wire.config import encode_config
from tests.host.conftest import Rack
from tests.host.test_collect import BOOT, frames
from tests.host.test_steps import PAYLOAD, ROOT, WATCHING, armed
from tests.support import REPO_ROOT, in_soak

pytestmark = pytest.mark.root("runs the daemon's own check on virtual devices")

CONFIG = Config(PolicyConfig(lowmem_min_adj=803), WATCHING)
JOBS = 32
INSTALLED = 8
MEMORY_LIMIT_KB = 200 << 10  # 300 are promised
LONG_TRACE = 25  # times 2,000 frames: 3 MB
BAD = {"offline": Fault.OFFLINE, "unauthorized": Fault.UNAUTHORIZED, "full": Fault.NO_SPACE, "slow": None,
       "corrupting": Fault.VERIFY}  # fmt: skip


def push(device: Device) -> ConfigPush:
    return run_steps(CONFIG_PUSH, ConfigPush(device, CONFIG, confirm_s=300.0))  # 32 at once on two CPUs


def collecting(out: Path) -> object:
    def work(device: Device) -> Collection:
        return run_steps(COLLECT, Collection(device, out, device_class="c"))

    return work


def prepare(rack: Rack, count: int, running: int) -> dict[str, Endpoint]:
    """Devices with the payload and a trace, the last five bad in five ways; their endpoints by what is bad.

    The first INSTALLED get the payload by installation, side by side; all others the files of the first.
    """
    endpoints = [rack.add(auth_mode="never" if at == count - 4 else "always") for at in range(count)]
    known = [one for one in endpoints if one.device.auth_mode == "always"]
    reports = run_fleet([rack.device(one, timeout_s=600.0) for one in known[:INSTALLED]],
                        lambda device: run_steps(INSTALL, Installation(device, PAYLOAD)), jobs=INSTALLED)  # fmt: skip
    assert [report.error for report in reports if report.error] == []
    for endpoint in known[INSTALLED:]:
        # A release's files never change, so one inode serves all.
        shutil.copytree(rack.path(known[0], ROOT), rack.path(endpoint, ROOT), symlinks=True, copy_function=os.link)
    for at, endpoint in enumerate(endpoints):
        if at < running:
            device = rack.device(endpoint)
            push(device)
            Installation(device, PAYLOAD, ROOT).service.start(observe=True)
            device.close()
        else:
            place = rack.path(endpoint, f"{ROOT}/traces/{BOOT}/0001.lmkt")
            place.parent.mkdir(parents=True)
            place.write_bytes(frames(at, 20))
    bad = dict(zip(BAD, endpoints[-5:]))
    rack.do(bad["offline"].stop())
    bad["full"].device.faults.no_space_after = 10
    bad["slow"].device.faults.slow_bytes_per_s = 60_000
    bad["corrupting"].device.faults.corrupt_files = -1
    return bad


def check(reports: list[DeviceReport[object]], bad: dict[str, Endpoint], faults: dict[str, Fault | None]) -> None:
    found = {report.serial: report.error.fault for report in reports if report.error}
    assert found == {bad[what].address: fault for what, fault in faults.items() if fault}
    for report in reports:
        assert report.error is None or "\n" not in str(report.error)


def run(rack: Rack, tmp_path: Path, count: int, running: int, jobs: int) -> None:
    bad = prepare(rack, count, running)
    heard: list[str] = []
    devices = [rack.device(one, timeout_s=1200.0) for one in rack.endpoints]
    pushed: list[DeviceReport[object]] = run_fleet(
        devices, push, jobs=jobs, heard=lambda report: heard.append(report.serial)
    )
    assert sorted(heard) == sorted(device.serial for device in devices)
    check(pushed, bad, BAD)
    good = [one for one in rack.endpoints if one not in [bad[what] for what, fault in BAD.items() if fault]]
    for endpoint in good:
        assert rack.path(endpoint, f"{ROOT}/config.bin").read_bytes() == encode_config(CONFIG)
    devices = [rack.device(one, timeout_s=1200.0) for one in rack.endpoints]
    fetched: list[DeviceReport[object]] = run_fleet(devices, collecting(tmp_path / "out"), jobs=jobs)  # type: ignore[arg-type]
    check(fetched, bad, {what: fault for what, fault in BAD.items() if what in ("offline", "unauthorized")})
    assert len(list((tmp_path / "out").rglob("*.lmkt"))) >= count - 2
    for endpoint in rack.endpoints[:running]:
        device = rack.device(endpoint)
        assert armed(device)
        Installation(device, PAYLOAD, ROOT).service.stop()
        device.close()


@pytest.mark.all_suite
def test_of_a_few_devices_the_bad_ones_fail_alone(rack: Rack, tmp_path: Path) -> None:
    run(rack, tmp_path, count=7, running=1, jobs=8)


@pytest.mark.all_suite
@pytest.mark.parametrize("count", [60, in_soak(200)])
def test_of_many_devices_the_bad_ones_fail_alone(rack: Rack, tmp_path: Path, count: int) -> None:
    run(rack, tmp_path, count, running=5, jobs=JOBS)


@pytest.mark.all_suite
@pytest.mark.parametrize("count", [60, in_soak(200)])
def test_the_host_tool_stays_small_with_many_devices(rack: Rack, tmp_path: Path, count: int) -> None:
    prepare(rack, count, 0)
    for at in range(JOBS):  # all that work at once have a trace of several pieces
        place = rack.path(rack.endpoints[at], f"{ROOT}/traces/{BOOT}/0001.lmkt")
        place.write_bytes(frames(at, 2000) * LONG_TRACE)
    targets = tmp_path / "targets"
    targets.write_text("".join(f"{one.address}\n" for one in rack.endpoints))
    config = tmp_path / "config.bin"
    config.write_bytes(encode_config(CONFIG))
    # Not ru_maxrss: after a vfork that begins with the peak of whoever started the program.
    program = (
        "import sys\nfrom lmkd_py.cli.app import run\nfrom tests.support import peak_kb\n"
        "code = run(sys.argv[1:])\nprint(peak_kb(), file=sys.stderr)\nsys.exit(code)\n"
    )
    environment = {**os.environ, "ANDROID_ADB_SERVER_PORT": "1", "LMKD_BOARDS": str(tmp_path / "boards")}
    given = ["--key", str(rack.key), "--targets", str(targets), "-j", str(JOBS)]
    for words in (["config", "push", str(config)], ["collect", "-o", str(tmp_path / "out")]):
        done = subprocess.run([sys.executable, "-c", program, *given, *words], capture_output=True, text=True,
                              env=environment, cwd=REPO_ROOT, check=False, timeout=1800)  # fmt: skip
        assert done.returncode == 3, done.stderr
        assert int(done.stderr.splitlines()[-1]) < MEMORY_LIMIT_KB
    assert sum(path.stat().st_size > 2 << 20 for path in (tmp_path / "out").rglob("*.lmkt")) == JOBS


def test_ctrl_c_ends_it_and_names_those_in_work(rack: Rack) -> None:
    devices = [rack.device(rack.add()) for _ in range(3)]

    begun = threading.Barrier(3)  # else the first may be over, and its thread free, before the third has one

    def work(device: Device) -> None:
        begun.wait(60)
        if device is not devices[0]:
            device.run("sleep 60")

    def heard(report: DeviceReport[None]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(Interrupted) as stopped:
        run_fleet(devices, work, heard=heard)
    assert sorted(stopped.value.in_flight) == sorted(device.serial for device in devices[1:])


def test_a_fault_of_ours_on_one_device_does_not_take_the_others_with_it(rack: Rack) -> None:
    devices = [rack.device(rack.add()) for _ in range(3)]

    def work(device: Device) -> str:
        if device is devices[1]:
            raise RuntimeError("ours")
        return device.ask("echo well").text

    reports = run_fleet(devices, work)
    assert [report.value for report in reports] == ["well", None, "well"]
    assert reports[1].error is not None
    assert "RuntimeError" in str(reports[1].error)


def test_a_device_that_waits_for_its_turn_does_not_use_up_its_time(rack: Rack) -> None:
    def work(device: Device) -> float:
        left_s = device.deadline - time.monotonic()
        time.sleep(1)
        return left_s

    devices = [rack.device(rack.add()) for _ in range(3)]
    for device in devices:
        device.deadline = time.monotonic() + 100
    assert all((report.value or 0) > 99.1 for report in run_fleet(devices, work, jobs=1))


def test_a_place_that_cannot_be_written_to_is_named(rack: Rack, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    def work(device: Device) -> Collection:
        return run_steps(COLLECT, Collection(device, tmp_path / "file" / "out", device_class="c"))

    (report,) = run_fleet([rack.device(rack.add())], work)
    assert report.error is not None
    assert "/file/out/" in str(report.error)
    assert "Not a directory" in str(report.error)
    assert "Error" not in str(report.error)

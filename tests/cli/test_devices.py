"""lmkctl on devices: one line or one object each, exit codes, nothing a device says reaches the terminal raw."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lmkd_py.board.adbd.endpoint import Endpoint
from tests.cli.conftest import HOSTILE, Lmkctl, Said
from tests.host.conftest import Rack
from tests.host.test_collect import frames

CONFIG = """
policy { lowmem_min_adj: 801 }
monitor { observe: 1 guarantee { rt_priority: 0 lock_memory: 0 } discovery { scan_min_adj: 1000 } }
"""


@pytest.fixture
def ctl(lmkctl: Lmkctl, rack: Rack, monkeypatch: pytest.MonkeyPatch) -> Lmkctl:
    """lmkctl with a key of its own and no adb server."""
    monkeypatch.delenv("ANDROID_SERIAL", raising=False)
    monkeypatch.setenv("ANDROID_ADB_SERVER_PORT", "1")
    monkeypatch.setenv("LMKD_BOARDS", str(rack.folder / "boards"))

    def call(*words: object) -> Said:
        return lmkctl("--key", rack.key, "--timeout", 60, *words)

    return call


def targets(tmp_path: Path, *endpoints: Endpoint, extra: str = "") -> Path:
    path = tmp_path / "targets"
    path.write_text("".join(f"{one.address} all\n" for one in endpoints) + extra)
    return path


def test_shell_gives_output_and_exit_status_as_they_are(ctl: Lmkctl, rack: Rack) -> None:
    serial = rack.add().address
    said = ctl("-s", serial, "shell", "--", "echo", "$(id)")
    assert (said.code, said.out) == (0, "$(id)\n")
    assert ctl("-s", serial, "shell", "--", "exit 42").code == 42


def test_no_device_is_exit_code_4_and_says_what_to_do(ctl: Lmkctl) -> None:
    said = ctl("--backend", "server", "status")
    assert said.code == 4
    assert "-s HOST:PORT" in said.err
    assert len(said.err.splitlines()) == 1


def test_two_ways_to_choose_are_bad_usage(ctl: Lmkctl) -> None:
    assert ctl("-s", "x", "--all", "status").code == 2


def test_an_offline_device_is_exit_code_5(ctl: Lmkctl, rack: Rack) -> None:
    endpoint = rack.add()
    rack.do(endpoint.stop())
    said = ctl("-s", endpoint.address, "doctor")
    assert said.code == 5
    (line,) = said.err.splitlines()
    assert re.fullmatch(
        rf"lmkctl: {endpoint.address}: \[Errno \d+\] Connection refused; is it on, and reachable\?", line
    )


def test_no_root_is_exit_code_6(ctl: Lmkctl, rack: Rack, tmp_path: Path) -> None:
    serial = rack.add(root_kind="none").address
    assert ctl("-s", serial, "install").code == 6


def test_a_device_without_python_is_exit_code_9_and_one_line(ctl: Lmkctl, rack: Rack) -> None:
    said = ctl("-s", rack.add().address, "install", "--python", "/no/python")
    assert said.code == 9
    assert "--python PATH" in said.err
    assert len(said.err.splitlines()) == 1


def test_doctor_says_what_to_do_about_each_finding(ctl: Lmkctl, rack: Rack) -> None:
    said = ctl("-s", rack.add().address, "--json", "doctor")
    device, summary = map(json.loads, said.out.splitlines())
    assert (device["schema"], device["step"]) == (1, "doctor")
    assert {one["name"] for one in device["findings"]} >= {"root", "python", "psi", "space", "installed"}
    assert all(one["advice"] for one in device["findings"] if one["state"] != "good")
    assert summary["summary"]["devices"] == 1


@pytest.mark.root("starts the daemon on a virtual device")
def test_the_whole_main_job(ctl: Lmkctl, rack: Rack, tmp_path: Path) -> None:
    config = tmp_path / "c.textproto"
    config.write_text(CONFIG)
    on = ("-s", rack.add().address)
    assert "lmkctl install" in ctl(*on, "status").err
    assert ctl(*on, "install").code == 0
    assert ctl(*on, "status").code == 1
    assert "lowmem_min_adj: 801" in ctl(*on, "config", "diff", config).out
    assert ctl(*on, "config", "push", config).code == 0
    assert ctl(*on, "config", "diff", config).out == "no difference\n"
    assert ctl(*on, "start", "--observe").code == 0
    status = ctl(*on, "status").out
    assert "armed, observing only" in status
    assert "layer 3 off (config): " in status or "layer 3 not active: " in status, "who only observes has no strike"
    assert "is in force already" in ctl(*on, "config", "push", config).out
    assert "armed: killer" in ctl(*on, "logs").out
    assert ctl(*on, "restart", "--observe").code == 0
    assert "armed, observing; kills 0" in ctl(*on, "watch", "-n", 2, "--every", 0.2).out
    said = ctl(*on, "--json", "collect", "-o", tmp_path / "out")
    assert json.loads(said.out.splitlines()[0])["frames"] > 0
    (trace,) = {path.parent for path in (tmp_path / "out").rglob("*.lmkt")}
    assert ctl("replay", trace).code == 0
    assert "lowmem_min_adj: 801" in ctl(*on, "config", "pull").out
    pulled = json.loads(ctl(*on, "--json", "config", "pull").out.splitlines()[0])["config"]
    assert pulled["policy"]["lowmem_min_adj"] == 801
    assert pulled["monitor"]["guarantee"]["rt_priority"] == 0
    assert pulled["monitor"]["observe"] == 1
    assert ctl(*on, "stop").out == "stopped\n"
    assert ctl(*on, "uninstall", "--purge").code == 0


def test_some_failed_is_exit_code_3_and_each_bad_one_has_its_line(
    ctl: Lmkctl,
    rack: Rack,
    tmp_path: Path,
) -> None:
    good, shy, gone = rack.add(), rack.add(auth_mode="never"), rack.add()
    rack.do(gone.stop())
    place = rack.path(good, "/data/adb/lmkd_py/traces/0a1b2c3d-aaaa/0001.lmkt")
    place.parent.mkdir(parents=True)
    place.write_bytes(frames(0, 5))
    said = ctl(
        "--timeout", 5, "--targets", targets(tmp_path, good, shy, gone), "--json", "collect", "-o", tmp_path / "out"
    )
    assert said.code == 3
    *devices, summary = map(json.loads, said.out.splitlines())
    codes = {one["serial"]: one["rc"] for one in devices}
    assert codes == {good.address: 0, shy.address: 5, gone.address: 5}
    assert set(summary["summary"]["failed"]) == {shy.address, gone.address}
    errors = {one["serial"]: one["error"] for one in devices if not one["ok"]}
    assert errors[shy.address]["code"] == "unauthorized"
    assert errors[shy.address]["hint"]


def test_all_failed_is_exit_code_1_though_each_has_the_same(ctl: Lmkctl, rack: Rack, tmp_path: Path) -> None:
    gone = [rack.add(), rack.add()]
    for one in gone:
        rack.do(one.stop())
    said = ctl("--retries", 0, "--targets", targets(tmp_path, *gone), "--json", "status")
    assert said.code == 1
    *devices, summary = map(json.loads, said.out.splitlines())
    assert [one["rc"] for one in devices] == [5, 5]
    assert summary["summary"]["rc"] == 1
    assert ctl("--retries", 0, "-s", gone[0].address, "status").code == 5


def test_progress_is_for_terminals_only(ctl: Lmkctl, rack: Rack, tmp_path: Path) -> None:
    said = ctl("--targets", targets(tmp_path, rack.add(), rack.add()), "shell", "--", "true")
    assert "\r" not in said.err + said.out
    assert "\x1b" not in said.err + said.out


def test_what_a_device_says_of_itself_is_letters_only(ctl: Lmkctl, rack: Rack) -> None:
    endpoint = rack.add(properties={"ro.product.model": HOSTILE})
    said = ctl("-s", endpoint.address, "devices", "-l")
    assert said.code == 0
    assert all(one.isprintable() or one == "\n" for one in said.out)


def test_a_bad_config_reaches_no_device(ctl: Lmkctl, rack: Rack, tmp_path: Path) -> None:
    config = tmp_path / "c.textproto"
    config.write_text("policy { lowmem_min_adj: 5 }")
    said = ctl("-s", rack.add().address, "config", "push", config)
    assert said.code == 2
    assert "policy.lowmem_min_adj" in said.err

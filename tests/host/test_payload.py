"""What goes to a device: the payload's rooms and nothing else, and it runs on Python 3.9 without a package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from lmkd_py.host.payload import PACKAGE, payload

ONDEVICE = PACKAGE / "ondevice"


def test_the_payload_is_the_payloads_rooms() -> None:
    rooms = {name.split("/")[1] for name in payload().files if name.count("/") > 1}
    assert rooms == {"core", "kernel", "wire", "daemon", "ondevice"}
    assert not [name for name in payload().files if "__pycache__" in name]
    objects = [f"lmkd_py/kernel/bpf/{name}.o" for name in ("probe", "strike")]
    assert sorted(name for name in payload().files if not name.endswith(".py")) == objects


def test_the_part_on_the_device_is_python_3_9() -> None:
    vermin = Path(sys.executable).parent / "vermin"
    command = [str(vermin), "--target=3.9-", "--violations", "--no-tips", str(ONDEVICE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_release_runs_without_any_package_and_answers_in_json(tmp_path: Path) -> None:
    for name, data in payload().files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    program = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import runpy; " \
              "runpy.run_module('lmkd_py.ondevice', run_name='__main__')"  # fmt: skip
    command = [sys.executable, "-I", "-S", "-c", program, "status", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert json.loads(done.stdout) == {"running": False, "orphan": 0}, done.stderr
    bad = subprocess.run([*command[:-2], "no-such-verb"], capture_output=True, text=True, check=False)
    assert bad.returncode == 2
    assert "wanted one of status" in bad.stderr

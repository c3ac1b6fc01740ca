"""Two hundred devices in one process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.board.adbd_tools import connect, lets_us_in
from tests.support import REPO_ROOT

DEVICES = 200
MEMORY_KB = 150_000


def resident_kb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 10


@pytest.mark.all_suite
def test_two_hundred_devices_in_one_process_stay_apart_and_small(spaces: None, tmp_path: Path) -> None:
    words = ["--root", str(tmp_path / "fleet"), "--name", "rack", "--count", str(DEVICES), *lets_us_in(tmp_path)]
    endpoint = subprocess.Popen(
        [sys.executable, "-m", "lmkd_py.board.adbd", *words], cwd=REPO_ROOT, stdout=subprocess.PIPE, text=True
    )
    with endpoint:
        try:
            assert endpoint.stdout is not None
            addresses = [endpoint.stdout.readline().split()[1] for _ in range(DEVICES)]
            assert len(set(addresses)) == DEVICES

            def visit(number: int) -> tuple[str, str]:
                client = connect(addresses[number])
                source = tmp_path / f"source-{number}"
                source.write_bytes(json.dumps(number).encode() * 50_000)
                client.push(str(source), "/data/local/tmp/mine")
                said = client.shell("getprop ro.serialno; cat /data/local/tmp/mine | sha256sum")
                client.close()
                return said, subprocess.run(
                    ["sha256sum"], input=source.read_bytes(), capture_output=True
                ).stdout.decode()

            with ThreadPoolExecutor(16) as pool:
                found = list(pool.map(visit, range(DEVICES)))
            assert [said for said, _ in found] == [
                f"rack-{number}\n{digest}" for number, (_, digest) in enumerate(found)
            ]
            assert resident_kb(endpoint.pid) < MEMORY_KB
        finally:
            endpoint.terminate()
            assert endpoint.wait(60) == 0

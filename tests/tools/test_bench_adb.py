"""The transfers that the bench compares do the same work both ways: what arrives is counted and compared."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lmkd_py.host.adb.link import Stream
from lmkd_py.host.adb.sync import Sending, SyncSession
from tests.support import require
from tools.bench import adb_sync, report


@pytest.mark.all_suite
def test_every_pair_leaves_the_same_files_behind(tmp_path: Path) -> None:
    require(shutil.which("adb"), "adb is not here: apt-get install adb (make test does it as root)")
    with adb_sync.bench(tmp_path, devices=2) as ready:
        there = [tmp_path / "devices" / str(number) / "data/local/tmp" for number in range(2)]
        for pair in ready.pairs():
            for work in (pair.ours, pair.adb):
                work(0)
                if "push 12 MB" in pair.label:
                    for folder in there if "at once" in pair.label else there[:1]:
                        assert (folder / "big").read_bytes() == ready.big.read_bytes()
                        (folder / "big").write_bytes(b"" if pair.ours is work else ready.big.read_bytes())
                elif "push 1,000" in pair.label:
                    for folder in there if "at once" in pair.label else there[:1]:
                        assert {path.name: path.read_bytes() for path in (folder / "there").iterdir()} == {
                            path.name: path.read_bytes() for path in ready.small.iterdir()
                        }
        assert (tmp_path / "pulled/big").read_bytes() == (tmp_path / "adb-big").read_bytes()
        fetched = {path.name: path.read_bytes() for path in (tmp_path / "adb-small").rglob("f*")}
        assert fetched == {path.name: path.read_bytes() for path in (tmp_path / "pulled").glob("f*")}
        for name in ("tree0", "plain0"):
            assert len(list((there[0] / name).rglob("f*"))) == adb_sync.SMALL_FILES


class _Counted:
    """A stream to a device that takes everything; counts the messages."""

    def __init__(self) -> None:
        self.sent = 0
        self._answers = b""

    def send(self, data: bytes | memoryview) -> None:
        self.sent += 1
        self._answers += b"OKAY\0\0\0\0" * bytes(data).count(b"DONE")

    def recv(self) -> bytes:
        data, self._answers = self._answers, b""
        return data

    def pending(self) -> bool:
        return False

    def close(self) -> None:
        pass


def test_a_thousand_small_files_take_tens_of_messages_and_not_thousands() -> None:
    stream = _Counted()
    checked: Stream = stream

    def files() -> list[Sending]:
        def reader() -> object:
            parts = [b"x" * 4096, b""]
            return lambda size: parts.pop(0)

        return [Sending(f"/data/f{number}", 0o100644, reader()) for number in range(1000)]  # type: ignore[arg-type]

    assert SyncSession(checked).push(files()) == 4_096_000
    assert stream.sent <= 1000 // 16


def test_the_report_shows_medians_and_their_ratio() -> None:
    text = report.transfers([adb_sync.Transfer("push", [0.1, 0.3, 0.2], [0.4, 0.4, 9.0])], "29.0.6")
    assert "| push | 200 | 400 | 0.50 |" in text
    assert "adb 29.0.6 ms" in text

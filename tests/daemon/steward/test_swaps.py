"""Swap areas that come and go while the daemon guards."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lmkd_py.daemon.steward import reload
from lmkd_py.daemon.steward.event_loop import EventLoop
from lmkd_py.daemon.steward.swaps import SwapWatch
from tests.daemon.rig import Rig

HEAD = "Filename Type Size Used Priority\n"


def write(root: Path, *areas: str) -> None:
    (root / "proc").mkdir(exist_ok=True)
    (root / "proc/swaps").write_text(HEAD + "".join(area + "\n" for area in areas))


def fail(fd: int) -> None:
    raise AssertionError(f"descriptor {fd} was up")


def test_only_areas_that_come_or_go_are_a_change(tmp_path: Path) -> None:
    write(tmp_path, "/dev/zram0 partition 1000 0 -2")
    watch = SwapWatch(str(tmp_path))
    assert not watch.changed()
    write(tmp_path, "/dev/zram0 partition 1000 900 -2")
    assert not watch.changed()
    write(tmp_path, "/dev/zram0 partition 1000 900 -2", "/swapfile file 500 0 -3")
    assert watch.changed()
    assert not watch.changed()
    write(tmp_path)
    assert watch.changed()
    watch.be_watched(EventLoop(), fail)  # a file on disk cannot be waited for: no harm
    watch.close()
    watch.close()


def test_a_kernel_without_swap_has_nothing_to_watch(tmp_path: Path) -> None:
    watch = SwapWatch(str(tmp_path))
    assert (watch.fd, watch.changed()) == (-1, False)
    watch.be_watched(EventLoop(), fail)


def test_the_real_file_does_not_wake_anybody_while_nothing_changes() -> None:
    watch, loop = SwapWatch(), EventLoop()
    watch.be_watched(loop, fail)
    assert loop.epoll.poll(0.05) == []
    watch.close()


def test_a_change_brings_another_killer_with_the_same_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = Rig(tmp_path / "state")
    asked: list[object] = []
    monkeypatch.setattr(reload, "replace_guard", lambda _, config: asked.append(config))
    write(tmp_path, "/dev/zram0 partition 1000 0 -2")
    rig.steward.swaps.close()
    watch = rig.steward.swaps = SwapWatch(str(tmp_path))
    rig.steward.swap_changed(watch.fd)
    assert asked == []
    write(tmp_path, "/dev/zram0 partition 1000 0 -2", "/dev/zram1 partition 1000 0 -2")
    rig.steward.swap_changed(watch.fd)
    assert asked == [rig.steward.config]
    watch.close()
    rig.close()
    assert os.path.isdir(tmp_path / "state" / "traces")

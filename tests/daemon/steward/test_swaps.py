"""Swap areas that come and go while the daemon guards."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from errno import ENOMEM
from pathlib import Path

import pytest

from lmkd_py.daemon.steward import backoff, event_loop, reload, swaps
from lmkd_py.daemon.steward.event_loop import EventLoop
from lmkd_py.daemon.steward.swaps import SwapWatch
from lmkd_py.kernel.sensing.domain import open_domain
from tests.daemon.driver import Trace, wait_until
from tests.daemon.rig import Rig

ZRAM, OTHER_ZRAM = "/dev/zram0 partition 1000 0 -2", "/dev/zram1 partition 1000 0 -2"
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


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """A steward that knows of one area. A turn of its loop waits for nothing: on a quiet machine nothing comes."""
    made = Rig(tmp_path / "state")
    monkeypatch.setattr(swaps, "SETTLE_S", 1e-9)
    monkeypatch.setattr(made.steward, "patience_s", lambda: 0.0)
    write(tmp_path, ZRAM)
    made.steward.swaps.close()
    made.steward.swaps = SwapWatch(str(tmp_path))
    yield made
    made.close()


def test_a_change_brings_another_killer_with_the_same_configuration(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(reload, "replace_guard", lambda _, config: asked.append(config))
    rig.steward.swaps.heed(rig.steward.swaps.fd)
    rig.steward.run_once()
    assert asked == []
    write(tmp_path, ZRAM, OTHER_ZRAM)
    rig.steward.swaps.heed(rig.steward.swaps.fd)
    rig.steward.run_once()
    assert asked == [rig.steward.config]
    assert os.path.isdir(tmp_path / "state" / "traces")


def turn_until(rig: Rig, what: str, holds: Callable[[], bool]) -> None:
    def turned() -> bool:
        rig.steward.run_once()
        return holds()

    wait_until(what, turned)


def refusing(monkeypatch: pytest.MonkeyPatch, *answers: str | BaseException) -> list[object]:
    """replace_guard() answers or fails like this; the configurations it was asked for."""
    monkeypatch.setattr(backoff, "FIRST_S", 0.01)
    monkeypatch.setattr(event_loop, "RETRY_MS", 1)
    asked: list[object] = []
    left = list(answers)

    def replace(_: object, config: object) -> str:
        asked.append(config)
        answer = left.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    monkeypatch.setattr(reload, "replace_guard", replace)
    return asked


@pytest.mark.parametrize("last", [ZRAM, OTHER_ZRAM])
def test_areas_that_go_and_come_back_at_once_bring_one_killer_and_not_two(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, last: str
) -> None:
    """swapoff and swapon, as of somebody who changes the size of zram."""
    asked = refusing(monkeypatch, "")
    now_s = [50.0]
    monkeypatch.setattr(backoff, "monotonic", lambda: now_s[0])
    monkeypatch.setattr(swaps, "SETTLE_S", 1.0)
    for areas in ((), (last,)):
        write(tmp_path, *areas)
        rig.steward.swaps.heed(rig.steward.swaps.fd)
        rig.steward.run_once()
        assert asked == []
        assert rig.steward.swaps.wait_s() == 1.0
        now_s[0] += 0.9
    rig.steward.run_once()
    assert asked == []
    now_s[0] += 0.1
    rig.steward.run_once()
    assert asked == [rig.steward.config]  # also the same name and size: zram may be another device by now
    assert rig.steward.swaps.wait_s() < 0


@pytest.mark.parametrize(
    "answers",
    [("no memory", "no memory", ""), (OSError(ENOMEM, "none"), ""), (OSError(ENOMEM, "none"), "no memory", "")],
)
def test_what_was_refused_is_tried_again_until_it_works(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: tuple[str | BaseException, ...]
) -> None:
    asked = refusing(monkeypatch, *answers)
    write(tmp_path, ZRAM, OTHER_ZRAM)
    rig.steward.swaps.heed(rig.steward.swaps.fd)
    turn_until(rig, "it was tried again", lambda: len(asked) == len(answers))
    rig.steward.run_once()
    assert rig.steward.swaps.wait_s() < 0, "nothing is due any more"
    noted = [note.kind for note in Trace(rig.root).notes]
    assert noted.count("swap-changed") == 1
    assert noted.count("swap-refused") == ("no memory" in answers), "the same refusal is told once"


def test_another_guard_made_since_the_refusal_knows_the_areas(
    rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = refusing(monkeypatch, "no memory")
    write(tmp_path, ZRAM, OTHER_ZRAM)
    rig.steward.swaps.heed(rig.steward.swaps.fd)
    rig.steward.run_once()
    assert len(asked) == 1
    former = rig.steward.domain
    rig.steward.domain = open_domain(rig.steward.guarded.monitor)
    former.close()
    turn_until(rig, "it is not wanted any more", lambda: rig.steward.swaps.wait_s() < 0)
    assert len(asked) == 1


def test_without_a_killer_the_next_one_is_waited_for(rig: Rig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = refusing(monkeypatch, "")
    write(tmp_path, ZRAM, OTHER_ZRAM)
    monkeypatch.setattr(rig.steward.vacancy, "fill", lambda _: None)
    rig.steward.vacancy.pid = rig.killer.pid
    rig.steward.swaps.heed(rig.steward.swaps.fd)
    rig.steward.run_once()
    assert asked == []
    rig.steward.vacancy.pid = 0
    rig.steward.run_once()
    assert len(asked) == 1

"""The trace tells of every configuration: taken, refused, taken back; and of every step of the clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lmkd_py.core.config import Config, PolicyConfig
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.wire.config import config_hash, encode_config
from lmkd_py.wire.control import Request, Verb
from lmkd_py.wire.pending import FORMER, PENDING, Pending, boot_id, boottime_s, encode_pending, put_back
from tests.daemon.driver import Daemon, Trace
from tests.daemon.rig import Rig
from tests.support import require

OTHER = PolicyConfig(thrashing_limit_pct=77)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path / "root")
    yield made
    made.close()


def put(root: Path, name: str, data: bytes) -> None:
    path = root / name
    path.write_bytes(data)
    path.chmod(0o600)


def reload(rig: Rig) -> int:
    return rig.steward.answer(Request(Verb.RELOAD)).ok


def noted(root: Path) -> list[tuple[str, int, str]]:
    """(kind, generation, hash) of what the trace says of configurations."""
    kinds = (NoteKind.RELOADED, NoteKind.CONFIG_REVERTED, NoteKind.RELOAD_REFUSED)
    return [(note.kind, note.number, note.subject) for note in Trace(root).notes if note.kind in kinds]


def test_a_config_that_is_taken_or_refused_is_noted(rig: Rig) -> None:
    other = encode_config(rig.steward.config._replace(policy=OTHER))
    put(rig.root, "config.bin", other)
    assert reload(rig)
    assert reload(rig), "the same again is no change"
    put(rig.root, "config.bin", b"\xff\xff\xff")
    assert not reload(rig)
    assert noted(rig.root) == [(NoteKind.RELOADED, 2, config_hash(other)), (NoteKind.RELOAD_REFUSED, 0, "")]


def test_a_push_that_is_taken_back_is_noted_as_such(rig: Rig) -> None:
    former, other = encode_config(rig.steward.config), encode_config(rig.steward.config._replace(policy=OTHER))
    push = Pending("nonce", boot_id(), boottime_s() + 60, 1)
    put(rig.root, FORMER, former)
    put(rig.root, PENDING, encode_pending(push))
    put(rig.root, "config.bin", other)
    assert reload(rig)
    put_back(str(rig.root), push)
    assert reload(rig)
    wanted = [(NoteKind.RELOADED, 2, config_hash(other)), (NoteKind.CONFIG_REVERTED, 3, config_hash(former))]
    assert noted(rig.root) == wanted
    put(rig.root, "config.bin", other)  # and once more, by hand: nothing is on probation
    assert reload(rig)
    assert noted(rig.root)[2:] == [(NoteKind.RELOADED, 4, config_hash(other))]


def test_a_push_of_the_former_config_is_none_that_was_taken_back(rig: Rig) -> None:
    former, other = encode_config(rig.steward.config), encode_config(rig.steward.config._replace(policy=OTHER))
    for generation, config in enumerate((other, former), 2):
        put(rig.root, PENDING, encode_pending(Pending(f"nonce {generation}", boot_id(), boottime_s() + 60, 1)))
        put(rig.root, "config.bin", config)
        assert reload(rig)
        assert noted(rig.root)[-1] == (NoteKind.RELOADED, generation, config_hash(config))
        (rig.root / PENDING).unlink()  # confirmed


def test_a_push_that_a_start_takes_back_is_noted(tmp_path: Path) -> None:
    former = encode_config(Config(PolicyConfig()))
    put(tmp_path, FORMER, former)
    put(tmp_path, PENDING, encode_pending(Pending("nonce", "another boot", 0.0, 1)))
    put(tmp_path, "config.bin", encode_config(Config(OTHER)))
    daemon = Daemon(tmp_path, "--observe")
    try:
        assert daemon.stop() == 0
    finally:
        daemon.end()
    ((kind, generation, digest),) = noted(tmp_path)
    assert (kind, generation) == (NoteKind.CONFIG_REVERTED, 1)
    assert digest == Trace(tmp_path).headers[0].config_hash


@pytest.mark.root("sets the clock, to the time it has")
def test_a_step_of_the_clock_is_noted_with_both_clocks(rig: Rig) -> None:
    try:
        time.clock_settime_ns(time.CLOCK_REALTIME, time.clock_gettime_ns(time.CLOCK_REALTIME))
    except PermissionError:
        require(False, "CAP_SYS_TIME: the clock cannot be set here")
    rig.steward.run_once()
    (note,) = Trace(rig.root).noted(NoteKind.CLOCK_SET)
    distance_ns = time.time_ns() - time.monotonic_ns()
    assert abs(note.number - note.monotonic_ns - distance_ns) < 1_000_000_000

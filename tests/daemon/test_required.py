"""--require-layer N: it starts where layers 0 to N are active, and else says which are, which is not, what helps."""

from __future__ import annotations

from collections.abc import Callable
from errno import ENOMEM, EPERM
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import OFF_BY_CONFIG, NoteKind
from lmkd_py.daemon.inherited import EXIT_BAD_CONFIG, EXIT_KERNEL_LACKS, EXIT_NO_MEMORY
from lmkd_py.daemon.required import HELP, shortfall
from lmkd_py.daemon.shared import LAYERS
from lmkd_py.daemon.steward.killers.keeper import Killer, KillerFailed, _need_layers
from lmkd_py.kernel.protection.memalloc import DEVICE
from lmkd_py.wire.report import Report
from lmkd_py.wire.sentences import sentence
from tests.daemon.driver import Daemon
from tests.daemon.program import assert_refused, lmkd_py
from tests.support import needs_cgroup, require

Start = Callable[..., Daemon]
# What takes a layer away, and its reason. The fourth needs a module (tests/board/qemu/test_module.py).
WITHOUT: dict[int, tuple[dict[str, Any], str]] = {
    1: ({"guarantee": {"lock_memory": 0}}, "lock_memory 0"),
    2: ({"guarantee": {"reserve_kb": 0}}, "reserve_kb 0"),
    3: ({"strike": {"enabled": 0}}, "strike.enabled 0"),  # all of these are for the configuration to say
    4: ({}, f"no {DEVICE}"),
}


@needs_cgroup
@pytest.mark.parametrize("layer", WITHOUT)
def test_it_starts_below_the_first_layer_that_is_missing_and_not_from_there_on(
    board: Sandbox, start: Start, tmp_path: Path, layer: int
) -> None:
    require(not Path(DEVICE).exists(), "a machine without the PF_MEMALLOC module")
    changes, reason = WITHOUT[layer]
    daemon = start(board, f"--require-layer={layer - 1}", **changes)
    active = [number for number in range(5) if daemon.status().layers >> number & 1]
    require(layer < 4 or 3 in active, "the strike in the kernel: BPF is refused here")
    assert daemon.stop() == 0
    done = lmkd_py("run", "--root", str(tmp_path), "--require-layer", str(layer))
    there = ", ".join(map(str, active))
    state = "off (config)" if changes else "not active"
    words = f"active {there}, wanted 0 to {layer}; layer {layer} is {state} ("
    assert_refused(done, EXIT_KERNEL_LACKS, words, reason, HELP[layer])
    assert done.stderr.count(f"is {state}") == 1


@pytest.mark.slow  # a board has no packages for lmkctl
@needs_cgroup
def test_lmkctl_status_tells_a_layer_that_is_off_by_the_configuration_from_one_that_cannot_be(
    board: Sandbox, start: Start, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmkd_py.cli.app import run as lmkctl

    require(not Path(DEVICE).exists(), "a machine without the PF_MEMALLOC module")
    start(board, guarantee={"reserve_kb": 0, "lock_memory": 0})
    assert lmkctl(["status", "--root", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    (first,) = [line for line in said if line.startswith("layer 1 ")]  # other daemons may keep us from a quota, too
    assert first.startswith("layer 1 off (config): ")
    assert "lock_memory 0: the killer can be paged out" in first
    assert "layer 2 off (config): reserve_kb 0: no private pool" in said
    assert any(line.startswith("layer 4 not active: no PF_MEMALLOC window") for line in said)
    assert not any(line.startswith("layer 0 ") for line in said)


@pytest.mark.parametrize("required", range(-1, 5))
@pytest.mark.parametrize("active", range(32))
def test_every_missing_layer_up_to_the_required_one_is_named_with_its_reason(active: int, required: int) -> None:
    why = {0: NoteKind.FRAME_STACK_SHORT, 1: NoteKind.LOCK_MEMORY_OFF, 2: NoteKind.POOL_OFF,
           3: NoteKind.STRIKE_REFUSED, 4: NoteKind.WINDOW_ABSENT}  # fmt: skip
    notes = [Note(kind=kind, layer=layer) for layer, kind in why.items()]
    others = [Note(kind=NoteKind.RT_QUOTA, layer=1), Note(kind=NoteKind.MEMORY_CGROUPS_ABSENT)]
    missing = [layer for layer in range(required + 1) if not active >> layer & 1]
    text = shortfall(active, required, [*others, *notes])
    assert bool(text) == bool(missing)
    for layer, note in enumerate(notes):
        state = "off (config)" if note.kind in OFF_BY_CONFIG else "not active"
        assert (f"layer {layer} is {state} ({sentence(note)}): {HELP[layer]}" in text) == (layer in missing)
    assert not any(sentence(note) in text for note in others)


@pytest.mark.parametrize("word", ["5", "-1", "x", ""])
def test_a_layer_that_does_not_exist_is_bad_usage(tmp_path: Path, word: str) -> None:
    done = lmkd_py("run", "--root", str(tmp_path), f"--require-layer={word}")
    assert done.returncode == EXIT_BAD_CONFIG
    assert "wanted a layer from 0 to 4" in done.stderr


@pytest.mark.parametrize(("reason", "code"), [(ENOMEM, EXIT_NO_MEMORY), (EPERM, EXIT_KERNEL_LACKS)])
def test_a_pool_that_found_no_memory_is_tried_again_and_one_that_is_forbidden_is_not(reason: int, code: int) -> None:
    note = Note(kind=NoteKind.POOL_REFUSED, number=8192, layer=2, errno=reason)
    killer = SimpleNamespace(report=Report(notes=(note,)), shared=SimpleNamespace(words={LAYERS: 3}))
    with pytest.raises(KillerFailed) as refused:
        _need_layers(cast(Killer, killer), 2)
    assert refused.value.code == code

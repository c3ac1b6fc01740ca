"""--require-layer N: it starts where layers 0 to N are active, and else says which are, which is not, what helps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.daemon.inherited import EXIT_BAD_CONFIG, EXIT_KERNEL_LACKS
from lmkd_py.daemon.required import HELP, shortfall
from lmkd_py.kernel.memalloc import DEVICE
from tests.daemon.driver import Daemon
from tests.daemon.program import assert_refused, lmkd_py
from tests.support import require

Start = Callable[..., Daemon]
# What takes a layer away, and its reason. The fourth needs a module (tests/board/test_module.py).
WITHOUT: dict[int, tuple[dict[str, int], str]] = {
    1: ({"lock_memory": 0}, "lock_memory 0"),
    2: ({"reserve_kb": 0}, "reserve_kb 0"),
    3: ({"strike": 0}, "strike 0"),
    4: ({}, f"no {DEVICE}"),
}


@pytest.mark.pressure
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
    words = f"active {there}, wanted 0 to {layer}; layer {layer} is not active ("
    assert_refused(done, EXIT_KERNEL_LACKS, words, reason, HELP[layer][1])
    assert done.stderr.count("is not active") == 1


@pytest.mark.parametrize("required", range(-1, 5))
@pytest.mark.parametrize("active", range(32))
def test_every_missing_layer_up_to_the_required_one_is_named_with_its_reason(active: int, required: int) -> None:
    notes = [begins[0] + " refused" for begins, _ in HELP]
    missing = [layer for layer in range(required + 1) if not active >> layer & 1]
    text = shortfall(active, required, ["a note of no layer", *notes])
    assert bool(text) == bool(missing)
    for layer, note in enumerate(notes):
        assert (f"layer {layer} is not active ({note}): {HELP[layer][1]}" in text) == (layer in missing)
    assert "no layer" not in text


@pytest.mark.parametrize("word", ["5", "-1", "x", ""])
def test_a_layer_that_does_not_exist_is_bad_usage(tmp_path: Path, word: str) -> None:
    done = lmkd_py("run", "--root", str(tmp_path), f"--require-layer={word}")
    assert done.returncode == EXIT_BAD_CONFIG
    assert "wanted a layer from 0 to 4" in done.stderr

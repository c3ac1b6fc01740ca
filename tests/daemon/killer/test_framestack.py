"""The margin of the stack of Python frames: what it has to be, and what it means when it cannot be told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.core.config import Config
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon.inherited import EXIT_KERNEL_LACKS, Inherited
from lmkd_py.daemon.killer import layers
from lmkd_py.daemon.killer.framestack import FRAMES_ON_HEAP, FrameStack
from lmkd_py.daemon.killer.layers import KILL_PATH, LayerSetup
from lmkd_py.wire.sentences import sentence
from tests.daemon.program import assert_refused
from tests.support import REPO_ROOT


@pytest.mark.parametrize(
    ("spare_bytes", "on_heap", "holds", "note"),
    [
        (4096, False, True, "frame stack: 4096 bytes to spare"),
        (4095, False, False, "frame stack: 4095 bytes to spare, wanted 4096"),
        (0, False, False, "frame stack: 0 bytes to spare, wanted 4096"),
        (ABSENT, False, False, "frame stack: not found in this Python, wanted 4096"),
        (ABSENT, True, True, ""),
    ],
)
def test_layer_0_takes_4_kib_of_frames_to_spare(
    spare_bytes: int, on_heap: bool, holds: bool, note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layers, "FRAMES_ON_HEAP", on_heap)
    found = LayerSetup(Inherited(fds=(), config=Config(), generation=1, rows=1, never=()))
    found.spare_frames(spare_bytes)
    assert bool(found.active & KILL_PATH) == holds
    assert len(found.notes) == bool(note)
    assert all(sentence(said).startswith(note) and said.layer == 0 for said in found.notes)


def test_the_stack_is_found_in_every_python_that_has_one() -> None:
    frames = FrameStack()
    frames.paint()
    assert (frames.spare_bytes() == ABSENT) == FRAMES_ON_HEAP


def test_a_newer_python_whose_stack_is_not_found_has_no_layer_0(tmp_path: Path) -> None:
    program = (  # not through __main__, which starts another interpreter
        "from lmkd_py.daemon.killer import framestack, layers\n"
        "framestack._locate, layers.FRAMES_ON_HEAP = int, False\n"
        "import sys; from lmkd_py.daemon.commands import main; main(sys.argv[1:])"
    )
    words = [sys.executable, "-c", program, "run", "--observe", "--root", str(tmp_path), "--require-layer", "0"]
    done = subprocess.run(words, cwd=REPO_ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert_refused(done, EXIT_KERNEL_LACKS, "layer 0", "frame stack: not found in this Python")

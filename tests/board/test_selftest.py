"""lmkctl selftest on an emulated ARM board: what its kernel gives holds there, and the negative control fails."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.board.qemu_boards import ArmBoard, install

pytestmark = pytest.mark.board

SECONDS = 20  # of an emulated CPU


@pytest.fixture(params=["new"])  # Linux 6.12: v2 alone has the memory controller
def board(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[ArmBoard]:
    made = ArmBoard(tmp_path, request.param)
    yield made
    made.close()


def test_the_guarantee_holds_on_an_arm_board_and_a_killer_that_allocates_fails(board: ArmBoard) -> None:
    service = install(board.device()).service
    found = service.selftest(SECONDS)
    print("\n".join(found["words"]))
    assert found["holds"], found["wrong"]
    assert found["uncounted"] == ""
    assert found["busy"]["kills"] > 0
    assert [layer["active"] for layer in found["layers"]][:3] == [True, True, True]
    assert not service.selftest(SECONDS / 2, "--negative-control")["holds"]
    assert board.shell("find /sys/fs/cgroup /dev/memcg -name 'lmkd_selftest*'") == ""

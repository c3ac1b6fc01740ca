"""lmkctl selftest on an emulated ARM board: what its kernel gives holds there, and the negative control fails."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.board.qemu_boards import ArmBoard, assert_protected, install

pytestmark = pytest.mark.board

SECONDS = 20  # of an emulated CPU


@pytest.fixture(scope="module", params=["new"])  # Linux 6.12: v2 alone has the memory controller
def board(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[ArmBoard]:
    made = ArmBoard(tmp_path_factory.mktemp("selftest"), request.param)
    yield made
    made.close()


def test_the_guarantee_holds_on_an_arm_board_and_a_killer_that_allocates_fails(board: ArmBoard) -> None:
    service = install(board.device()).service
    found = service.selftest(SECONDS)
    print("\n".join(found["words"]))
    assert found["holds"], found["wrong"]
    assert found["uncounted"] == ""
    assert found["busy"]["kills"] > 0
    assert [layer["active"] for layer in found["layers"]][:2] == [True, True]
    assert found["layers"][2]["why"].startswith("no private pool with 2"), "a board of 256 MiB has none to spare"
    assert not service.selftest(SECONDS / 2, "--negative-control")["holds"]
    assert board.shell("find /sys/fs/cgroup /dev/memcg -name 'lmkd_selftest*'") == ""


def test_the_pair_lives_under_memory_min_in_a_cgroup_that_goes_with_it(board: ArmBoard) -> None:
    control = "cat /sys/fs/cgroup/cgroup.subtree_control"
    assert board.shell(control) == ""  # nobody has asked for a controller here
    service = install(board.device()).service
    assert_protected(board, service.start(observe=True), "lmkd_py")
    assert board.shell(control) == "memory"
    service.stop()
    assert board.shell(f"ls -d /sys/fs/cgroup/*/ 2>/dev/null; {control}") == ""


def test_no_oom_killer_and_no_compaction_reaches_the_pair_and_the_machine_is_as_it_was_afterwards(
    board: ArmBoard,
) -> None:
    compaction = "cat /proc/sys/vm/compact_unevictable_allowed"
    assert board.shell(compaction) == "1"
    service = install(board.device()).service
    for is_last in (False, True):
        status = service.start(observe=True)
        pids = (status["steward_pid"], status["killer_pid"])
        for pid in pids:
            assert board.shell(f"cat /proc/{pid}/oom_score_adj") == "-1000"
        assert board.shell(compaction) == "0"
        if not is_last:  # a crash leaves it so; the next clean stop knows that it was us
            board.shell(f"kill -9 {pids[0]} {pids[1]}")
    service.stop()
    assert board.shell(compaction) == "1"

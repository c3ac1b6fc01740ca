"""The strike inside an arm64 kernel: which variants 5.10, 6.1 and 6.12 load, and whom each kills under pressure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lmkd_py.host.layout import RootLayout
from lmkd_py.host.push import push_atomic
from tests.board.qemu_boards import SPARE_SWAP_MIB, STATE_ROOT, ArmBoard, guard, install
from tests.support import wait_until

pytestmark = pytest.mark.board
PROGRAM = Path(__file__).with_name("guest_strike.py")
NO_SEND = (
    "refused: this kernel accepts no strike program: {0}: this kernel has no bpf_send_signal_task; needs Linux 6.13"
)
# What `current` says where it is not taken in its first form.
PLAIN = {
    "old": "; current: its form without compare-exchange (Linux 5.12, arm64 5.18): "
    "the verifier says: BPF_STX uses reserved fields (Invalid argument)"
}


class StrikeBoard:
    """A board with the payload installed and the program above pushed."""

    def __init__(self, folder: Path, profile: str) -> None:
        self.plain = PLAIN.get(profile, "")
        self.board = ArmBoard(folder, profile)
        device = self.board.device()
        install(device)
        push_atomic(device, PROGRAM.read_bytes(), "/tmp/guest_strike.py")
        device.close()

    def say(self, words: str, btf: bool = True) -> str:
        device = self.board.device(retries=0)
        try:
            command = f"PYTHONPATH={RootLayout(STATE_ROOT).current} python3 /tmp/guest_strike.py {words}"
            if not btf:  # out of sight, as if the kernel had none
                btf_dir = "/sys/kernel/btf"
                command = f"mount -t tmpfs none {btf_dir} && {command}; said=$?; umount {btf_dir}; exit $said"
            return device.must(["sh", "-c", command], words, timeout_s=400).text
        finally:
            device.close()

    def strike(self, domain: str, variant: str, btf: bool = True) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.say(f"strike {domain} {variant}", btf))
        return told


@pytest.fixture(scope="module", params=["old", "board", "new"])
def arm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StrikeBoard]:
    made = StrikeBoard(tmp_path_factory.mktemp(request.param), request.param)
    yield made
    made.board.close()


def test_the_reclaiming_task_can_be_struck_and_the_list_is_refused_with_its_line(arm: StrikeBoard) -> None:
    assert arm.say("probe").splitlines() == [
        "memcg list: " + NO_SEND.format("list"),
        "memcg current: loads" + arm.plain,
        "memcg walk: " + NO_SEND.format("walk"),
        "system list: " + NO_SEND.format("list"),
        "system current: loads" + arm.plain,
        "system walk: " + NO_SEND.format("walk"),
    ]


def test_experiments_find_the_offsets_that_btf_tells(arm: StrikeBoard) -> None:
    found, told = json.loads(arm.say("compare"))
    assert found == told


@pytest.mark.parametrize("btf", [True, False], ids=["btf", "no-btf"])
@pytest.mark.parametrize("domain", ["memcg", "system"])
def test_an_unanswered_kick_kills_the_expendable_reclaimer_and_nobody_else(
    arm: StrikeBoard, domain: str, btf: bool
) -> None:
    told = arm.strike(domain, "current", btf)
    assert told["struck"] == ["press920"]
    assert told["adjs"] == [920]
    assert told["start_times_agree"]
    # The bystanders did not reclaim, and the other one that did is not expendable.
    assert told["alive"] == ["rest950", "rest900", "rest0", "press0"]
    assert told["oom_kill"] == 0
    if domain == "system":  # counted by BPF on its own way to the zones, at a moment when nearly nothing was free
        assert 0 < told["free_pages"] < told["all_pages"] // 4


def test_the_whole_system_is_kicked_for_direct_reclaim_with_less_free_than_the_limit_alone(arm: StrikeBoard) -> None:
    told = json.loads(arm.say("limit"))
    assert told["at rest, less free than the limit"] == [0, 0]
    events, kicks = told["reclaiming, more free than the limit"]
    assert events >= 50
    assert kicks == 0
    _, kicks = told["reclaiming, less free than the limit"]
    assert kicks > 0


def test_with_the_daemon_stopped_the_kernel_strikes_in_its_stead(arm: StrikeBoard) -> None:
    """The whole daemon with its defaults, guarding the whole board; both processes stopped."""
    device = arm.board.device()
    try:
        service = guard(device)
        status = service.status()
        assert status["layers"] >> 3 & 1
        stage = arm.board.stage()
        by_kernel = stage.oom_kills()
        stage.populate()
        both = f"{status['killer_pid']} {status['steward_pid']}"
        arm.board.shell(f"kill -STOP {both}")
        hog = stage.grow_hog(adj=900, mib_per_s=48, spare_mib=SPARE_SWAP_MIB)
        wait_until("the kernel has struck", lambda: not stage.living((hog,)), 240)
        assert stage.living(stage.apps) == stage.apps  # they are more expendable, but asked for nothing
        assert stage.oom_kills() == by_kernel
        arm.board.shell(f"kill -CONT {both}")
        wait_until("the steward reports the strike", lambda: service.status()["kills"], 240)
        service.stop()
    finally:
        device.close()

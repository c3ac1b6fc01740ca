"""The power of an emulated board goes in the middle of work; its disk then holds the old or the new, and it whole."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lmkd_py.analysis.replay import replay
from lmkd_py.analysis.trace import read_trace
from lmkd_py.board.qemu.stage import Stage
from lmkd_py.core.config import Config, MonitorConfig, PolicyConfig
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.collect import COLLECT, Collection
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.connect import Connector
from lmkd_py.host.errors import DeviceError, Fault
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from lmkd_py.host.targets import Target
from lmkd_py.host.tree import Tree, tree_is_there
from lmkd_py.wire.config import encode_config
from tests.board.qemu_boards import PAYLOAD, STATE_ROOT, ArmBoard, guard, install, push
from tests.support import in_soak, wait_until

pytestmark = pytest.mark.board
PATIENCE_S = 400.0  # an emulated CPU beside a kernel build
DURING_S = 0.5  # a fraction of what the step takes there
NEWER = Tree({**PAYLOAD.files, "lmkd_py/newer.txt": b"1"})
OLD_CONFIG = Config(PolicyConfig(), MonitorConfig())
NEW_CONFIG = Config(PolicyConfig(lowmem_min_adj=801), MonitorConfig())


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmBoard]:
    """One disk through all cuts; the daemon is installed and configured."""
    made = ArmBoard(tmp_path_factory.mktemp("power"))
    guard(made.device())
    made.shell("sync")
    yield made
    made.close()


def cut_at(board: ArmBoard, step: str, work: Callable[[Callable[[str], None]], object]) -> None:
    """Cut when this step begins: all before it has just been done, and nothing has been synced for it.

    `during STEP`: some time after it has begun, whatever it does then.
    """
    during = step.startswith("during ")

    def watch(name: str) -> None:
        if name == step.removeprefix("during "):
            if during:
                timer.start()
            else:
                board.machine.process.kill()

    timer = threading.Timer(DURING_S, board.machine.process.kill)
    try:
        work(watch)
    except DeviceError:
        pass
    else:
        assert during, "it went on without power"
    if during:
        timer.join()
    board.power_cut()


@pytest.mark.parametrize(
    "step", ["during push the release", in_soak("try the release"), "during activate", in_soak("register at boot")]
)
def test_an_upgrade_without_power_leaves_old_or_new(board: ArmBoard, step: str) -> None:
    install(board.device())
    board.shell("sync")
    device = board.device(retries=0)
    cut_at(board, step, lambda watch: install(device, NEWER, watch))
    device = board.device()
    current = f"{STATE_ROOT}/{board.shell(f'readlink {STATE_ROOT}/current')}"
    assert tree_is_there(device, PAYLOAD, current) or tree_is_there(device, NEWER, current)
    service = Service(device, STATE_ROOT)
    service.start(observe=True)
    assert service.status()["armed"] == 1
    service.stop()
    install(device, NEWER)
    assert tree_is_there(device, NEWER, f"{STATE_ROOT}/current")


@pytest.mark.parametrize("step", ["during apply the config", in_soak("verify the daemon"), "confirm"])
def test_a_config_without_power_is_the_old_or_the_new(board: ArmBoard, step: str) -> None:
    device = board.device()
    Service(device, STATE_ROOT).start(observe=True)
    push(device, OLD_CONFIG)
    board.shell("sync")
    device = board.device(retries=0)
    cut_at(board, step, lambda watch: push(device, NEW_CONFIG, watch))
    device = board.device()
    service = Service(device, STATE_ROOT)
    service.start(observe=True)
    found = bytes.fromhex(board.shell(f"od -An -v -tx1 {STATE_ROOT}/config.bin"))
    assert found in (encode_config(OLD_CONFIG), encode_config(NEW_CONFIG))
    push(device, NEW_CONFIG)
    assert service.status()["armed"] == 1


def test_a_board_that_boots_before_a_config_is_confirmed_guards_with_the_former_one(board: ArmBoard) -> None:
    # The board has no RTC: its wall clock begins anew, and any deadline by it would lie far ahead.
    device = board.device()
    service = Service(device, STATE_ROOT)
    service.stop()
    push(device, OLD_CONFIG)
    other = NEW_CONFIG._replace(policy=PolicyConfig(lowmem_min_adj=802))
    run_steps(CONFIG_PUSH, ConfigPush(device, other, confirm_s=3600.0, hold=True))
    board.shell("sync")
    board.reboot()
    # Started by hand, as a board's init does it.
    board.shell(
        f"PYTHONPATH={STATE_ROOT}/current setsid python3 -B -m lmkd_py.daemon run --observe --root {STATE_ROOT} "
        f">{STATE_ROOT}/log 2>&1 </dev/null &"
    )
    service = Service(board.device(), STATE_ROOT)

    def log() -> str:
        return board.shell(f"cat {STATE_ROOT}/log")

    wait_until("it is armed", lambda: service.status().get("armed"), PATIENCE_S, log)
    assert "the former config.bin is back" in log()
    found = bytes.fromhex(board.shell(f"od -An -v -tx1 {STATE_ROOT}/config.bin"))
    assert found == encode_config(OLD_CONFIG)
    service.stop()


def test_a_board_lets_in_its_starters_key_and_no_other(board: ArmBoard) -> None:
    other = Connector(ServerAddress("127.0.0.1", 1), board.folder / "other", auth_s=20.0)
    stranger = other.device(Target(board.machine.address, via_server=False))
    with pytest.raises(DeviceError) as refused:
        stranger.ask(["id"])
    assert refused.value.fault == Fault.UNAUTHORIZED
    assert board.shell("id -u") == "0"


@pytest.mark.parametrize("end", [in_soak("power cut"), "power cut when it is calm", "reboot"])
def test_a_trace_that_is_being_written_keeps_every_whole_frame(board: ArmBoard, tmp_path: Path, end: str) -> None:
    device = board.device()
    Service(device, STATE_ROOT).stop()  # one that only observes may run
    service = guard(device, reserve_kb=2048)
    stage = Stage(lambda command: device.must(["sh", "-c", command], command).text)
    stage.populate()
    stage.grow_hog()
    wait_until("3 are dead", lambda: service.status()["kills"] >= 3, PATIENCE_S)

    def kills_when_calm() -> int:
        status = service.status()
        locked = board.shell(f"grep ^VmLck: /proc/{status['steward_pid']}/status").split()[1] != "0"
        return int(status["kills"]) if locked else 0

    safe = 0
    if end.endswith("calm"):  # as the private pool is back then, the trace is safe
        safe = wait_until("it is calm", kills_when_calm, PATIENCE_S)
    collection = run_steps(COLLECT, Collection(device, tmp_path, STATE_ROOT))
    filed = Path(service.status()["trace_path"])  # the disk holds those of earlier boots, too
    before = collection.folder / filed.parent.name / filed.name
    known, collected = read_trace(before), before.read_bytes()
    assert known.kills
    board.reboot() if end == "reboot" else board.power_cut()

    device = board.device()
    if end.endswith("calm"):
        anew = run_steps(COLLECT, Collection(device, tmp_path / "anew", STATE_ROOT)).folder
        assert len(read_trace(anew / filed.parent.name / filed.name).kills) >= safe >= 3
    Service(device, STATE_ROOT).start(observe=True)
    run_steps(COLLECT, Collection(device, tmp_path, STATE_ROOT))
    after = before.read_bytes()
    assert after[: len(collected)] == collected, "what had been fetched is kept, whatever the disk lost of it"
    trace = read_trace(before)
    assert len(trace.kills) >= len(known.kills)
    assert not trace.undeclared
    assert replay(trace).agrees
    boots = {path.parent.name for path in collection.folder.glob("*/*.lmkt")}
    assert len(boots) > 1, "the new life of the board writes a trace of its own"
    assert not any(boot.endswith(".2") for boot in boots), "a file that a cut made shorter was taken for another"

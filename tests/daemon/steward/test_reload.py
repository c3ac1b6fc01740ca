"""A new configuration comes into force while the daemon guards: at once where it is policy, by a handover else."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from lmkd_py.board.apps import App
from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import Config, GuaranteeConfig, MonitorConfig, PolicyConfig, StrikeConfig, with_settings
from lmkd_py.daemon.inherited import EXIT_KERNEL_LACKS
from lmkd_py.daemon.steward.killers import keeper
from lmkd_py.daemon.steward.reload import reload
from lmkd_py.wire.config import config_hash, decode_config, encode_config
from lmkd_py.wire.control import Verb
from tests.daemon.driver import Daemon, Trace, is_killer, wait_until, write_config
from tests.daemon.rig import Rig
from tests.support import needs_cgroup

pytestmark = needs_cgroup
Start = Callable[..., Daemon]
HEAVIEST = PolicyConfig(kill_heaviest_task=1)


def fill(board: Sandbox) -> list[App]:
    """Six apps of one slot; the fourth is by far the heaviest."""
    return [board.start_app(f"cached-{number}", 900, 24 if number == 3 else 6) for number in range(6)]


def press_until_dead(board: Sandbox, apps: list[App], count: int) -> None:
    board.start_hog(0, 80)
    wait_until(f"{count} apps are dead", lambda: sum(not app.is_alive() for app in apps) >= count)
    board.stop_pressure()


@pytest.mark.pressure
def test_a_changed_policy_is_in_force_without_a_new_killer(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = fill(board)
    daemon = start(board)
    before = daemon.status()
    config = Config(HEAVIEST, board.monitor_config())
    board.write_root(str(tmp_path), config)
    os.kill(daemon.pid, signal.SIGHUP)
    wait_until("the reload is done", lambda: daemon.status().config_generation == 2)
    after = daemon.status()
    assert (after.killer_pid, after.armed, after.candidates) == (before.killer_pid, 1, before.candidates)
    assert before.config_hash != after.config_hash == config_hash(encode_config(config))
    press_until_dead(board, apps, 1)
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert trace.kills[0].outcome.pid == apps[3].pid, "the first kill did not follow the new policy"
    assert {record.config_generation for record in trace.kills} == {2}
    assert [header.config_generation for header in trace.headers] == [1, 2]
    assert decode_config(trace.headers[1].config) == config
    assert not trace.noted("handover")
    trace.assert_replays()


def test_a_reload_of_the_same_config_changes_nothing(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board)
    before = daemon.status()
    reply = daemon.ask(Verb.RELOAD)
    assert reply.ok
    assert (reply.config_generation, reply.killer_pid) == (1, before.killer_pid)
    assert daemon.stop() == 0
    assert len(Trace(tmp_path).headers) == 1


@pytest.mark.pressure
def test_a_changed_monitor_comes_by_an_ordered_handover(board: Sandbox, start: Start, tmp_path: Path) -> None:
    apps = fill(board)
    daemon = start(board)
    before = daemon.status()
    board.write_root(str(tmp_path), Config(HEAVIEST, board.monitor_config(triggers={"psi_some_stall_ms": 150})))
    reply = daemon.ask(Verb.RELOAD)
    assert reply.ok, reply.text
    assert reply.config_generation == 2
    assert reply.killer_pid != before.killer_pid
    assert not is_killer(before.killer_pid)
    daemon.killer_pid = reply.killer_pid
    assert (reply.armed, reply.candidates) == (1, before.candidates)
    assert [trigger for trigger in reply.triggers if "150" in trigger.settings or "300 ms in 2000" in trigger.settings]
    press_until_dead(board, apps, 1)
    assert daemon.stop() == 0
    trace = Trace(tmp_path)
    assert trace.kills[0].outcome.pid == apps[3].pid
    assert {record.killer_pid for record in trace.kills} == {reply.killer_pid}
    assert {record.config_generation for record in trace.kills} == {2}
    assert [note.number for note in trace.noted("killer-started")] == [before.killer_pid, reply.killer_pid]
    assert len(trace.noted("handover")) == 1
    trace.assert_replays()


BAD: dict[str, tuple[Callable[[Sandbox], bytes], str]] = {
    "bytes that are none": (lambda board: b"\xff\xff\xff", "found"),
    "a value out of range": (
        lambda board: encode_config(Config(PolicyConfig(swap_free_low_pct=101), board.monitor_config())),
        "policy.swap_free_low_pct: found 101",
    ),
    "a domain that is not there": (
        lambda board: encode_config(
            Config(monitor=with_settings(board.monitor_config(), domain={"path": "/sys/fs/nowhere"}))
        ),
        "/sys/fs/nowhere: no such directory",
    ),
}


@pytest.mark.pressure
@pytest.mark.parametrize(
    "what", [pytest.param(what, marks=pytest.mark.all_suite if at else ()) for at, what in enumerate(BAD)]
)
def test_a_bad_config_is_refused_with_its_reason_and_the_old_one_guards_on(
    board: Sandbox, start: Start, tmp_path: Path, what: str
) -> None:
    make, told = BAD[what]
    apps = fill(board)
    daemon = start(board)
    before = daemon.status()
    (tmp_path / "config.bin").write_bytes(make(board))
    reply = daemon.ask(Verb.RELOAD)
    assert not reply.ok
    assert told in reply.text
    after = daemon.status()
    assert (after.killer_pid, after.armed, after.config_generation) == (before.killer_pid, 1, 1)
    assert (after.config_hash, after.candidates) == (before.config_hash, before.candidates)
    press_until_dead(board, apps, 1)
    os.kill(daemon.pid, signal.SIGHUP)  # the same by signal: the reason goes to stderr
    wait_until("the second refusal is noted", lambda: len(Trace(tmp_path).noted("reload-refused")) == 2)
    assert daemon.stop() == 0
    assert daemon.process.stderr is not None
    said = daemon.process.stderr.read()
    assert said.startswith("lmkd-py: reload refused, the old config stays: ")
    assert said.count("\n") == 1
    assert told in said
    trace = Trace(tmp_path)
    first = min(app.pid for app in apps)  # a scan registers by falling adj, then in the order of the pids
    assert trace.kills[0].outcome.pid == first, "the old policy takes the oldest of the slot"
    assert {record.config_generation for record in trace.kills} == {1}
    trace.assert_replays()


def test_without_a_config_file_a_reload_goes_back_to_the_defaults(board: Sandbox, start: Start, tmp_path: Path) -> None:
    daemon = start(board, "--observe", policy=HEAVIEST)  # the default domain is this whole machine
    (tmp_path / "config.bin").unlink()
    reply = daemon.ask(Verb.RELOAD)
    assert reply.ok, reply.text
    assert (reply.config_generation, reply.observe) == (2, 1)
    daemon.killer_pid = reply.killer_pid
    assert daemon.stop() == 0
    header = Trace(tmp_path).headers[-1]
    defaults = Config()
    assert decode_config(header.config) == defaults._replace(monitor=defaults.monitor._replace(observe=1))


@pytest.mark.pressure
def test_candidates_of_a_former_domain_are_forgotten(board: Sandbox, start: Start, tmp_path: Path) -> None:
    former = [board.start_app(f"former-{number}", 990, 4) for number in range(5)]
    daemon = start(board)
    assert daemon.status().candidates == 5
    with Sandbox(limit_mib=128) as other:
        apps = [other.start_app(f"latter-{number}", 900 + number, 6) for number in range(8)]
        write_config(tmp_path, Config(monitor=other.monitor_config()))
        reply = daemon.ask(Verb.RELOAD)
        assert reply.ok, reply.text
        daemon.killer_pid = reply.killer_pid
        assert reply.candidates == 8
        press_until_dead(other, apps, 3)
        assert daemon.stop() == 0
    assert all(app.is_alive() for app in former), "a process outside the guarded domain was struck"


def test_after_a_reload_that_switches_scans_off_those_that_are_registered_stay(
    board: Sandbox, start: Start, tmp_path: Path
) -> None:
    apps = [board.start_app(f"cached-{number}", 900, 1) for number in range(3)]
    (tmp_path / "procs").write_text(f"{apps[0].pid} 10001 800\n")
    daemon = start(board)
    assert daemon.status().candidates == 3
    write_config(tmp_path, Config(monitor=board.monitor_config(discovery={"scan": 0})))
    reply = daemon.ask(Verb.RELOAD)
    assert reply.ok, reply.text
    daemon.killer_pid = reply.killer_pid
    assert reply.candidates == 1
    assert daemon.stop() == 0


def test_what_the_former_killer_recorded_while_a_new_one_failed_is_filed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits for the new killer hears of it by the same descriptor, and the former one may say nothing more."""
    rig = Rig(tmp_path / "root")
    try:
        (rig.root / "config.bin").write_bytes(
            encode_config(
                Config(monitor=MonitorConfig(strike=StrikeConfig(enabled=0), guarantee=GuaranteeConfig(reserve_kb=0)))
            )
        )

        def record_and_fail(_: object) -> NoReturn:
            rig.ring.write(rig.paper.wakeup())
            rig.ring.notify()
            os._exit(EXIT_KERNEL_LACKS)

        monkeypatch.setattr(keeper, "_be_killer", record_and_fail)
        assert reload(rig.steward) == "the killer ended before it was armed"
        rig.settle()
        assert [record.seq for record in Trace(rig.root).records] == [0]
    finally:
        rig.close()

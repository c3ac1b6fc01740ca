"""Low-memory killers side by side on one emulated ARM board: who dies, how soon it is over, and what each costs.

All of them meet the same applications and the same game, which wants more than is left; one after another, in turns.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from lmkd_py.board.errors import SandboxError
from lmkd_py.board.qemu.guest import trial
from lmkd_py.board.qemu.machine import QemuBoard
from lmkd_py.board.qemu.profile import PROFILES
from lmkd_py.board.qemu.stage import Stage
from lmkd_py.board.scenario import APPS
from lmkd_py.core.config import DEFAULTS, Config, PolicyConfig
from lmkd_py.host.adb.keys import public_keys
from lmkd_py.host.adb.server import ServerAddress
from lmkd_py.host.config_push import CONFIG_PUSH, ConfigPush
from lmkd_py.host.connect import Connector
from lmkd_py.host.device import Device
from lmkd_py.host.errors import DeviceError
from lmkd_py.host.install import INSTALL, Installation
from lmkd_py.host.payload import payload
from lmkd_py.host.scripts import script
from lmkd_py.host.service import Service
from lmkd_py.host.steps import run_steps
from lmkd_py.host.targets import Target
from tools.bench.figures import table

OUT = "/tmp/trial.json"
TRIAL = trial.__name__
APPS_SLICE = "/sys/fs/cgroup/apps.slice"
# $1 the file of the outcome, $2 the module, $3 the order
_START = """rm -f "$1"; cd /tmp; export PYTHONPATH=/opt/lmkd; setsid python3 -m "$2" "$3" >"$1.log" 2>&1 </dev/null &
echo $! >"$1.pid" """
_LOOK = """if [ -f "$1" ]; then cat "$1"; elif kill -0 "$(cat "$1.pid")" 2>/dev/null; then echo running
else cat "$1.log"; fi"""
LIMIT_S = 120.0  # until a trial counts as not recovered
PATIENCE_S = 400.0
MIB_PER_S = 24.0
# Of the board's room: each application takes one, the game what they leave. Every killer acts while there is still a
# tenth, about five shares, and takes some itself: applications have to die, but not all of them.
SHARES = 48
AT_ONCE_S = 2.0  # who dies so much later was not spared: it had been struck, too, or was about to be


class Killer(NamedTuple):
    """A killer to compare, and how it is started on the board."""

    name: str
    command: tuple[str, ...] = ()
    unit: str = ""  # of systemd, which starts it
    marker: str = ""  # a word of its command lines


OURS = Killer("lmkd-py", marker="lmkd_py.daemon")
PEERS = (
    # As Debian's own units start them.
    Killer("earlyoom", ("/usr/bin/earlyoom", "-r", "3600"), marker="/usr/bin/earlyoom"),
    Killer(
        "nohang",
        ("/usr/bin/python3", "/usr/sbin/nohang", "--monitor", "--config", "/etc/nohang/nohang.conf"),
        marker="/usr/sbin/nohang",
    ),
)
OOMD = Killer("systemd-oomd", unit="systemd-oomd", marker="/lib/systemd/systemd-oomd")
NOBODY = Killer("the kernel alone")


class Outcome(NamedTuple):
    """What came of one trial; the words of guest/trial.py."""

    deaths: tuple[tuple[str, int, int, float], ...]  # name, adj, signal, seconds; the first one first
    living: tuple[tuple[str, int], ...]
    calm: bool
    done_s: float
    short_s: float
    last_stall_s: float
    oom_kills: int
    system_major_faults: int
    killer_runs: bool
    major_faults: int
    cpu_ms: int
    rss_kb: int
    pss_kb: int

    @property
    def wrong(self) -> list[str]:
        """Who died while somebody more expendable lived."""
        lived = [(adj, float("inf")) for _, adj in self.living] + [(adj, at) for _, adj, _, at in self.deaths]
        return [
            name
            for name, adj, _, at in self.deaths
            if any(other > adj and until > at + AT_ONCE_S for other, until in lived)
        ]

    @property
    def recovery_s(self) -> float:
        """From when it got short to the last stall, if the game got its memory; -1 if it did not, or it never ended."""
        if not (self.calm and self.done_s):
            return -1.0
        return max(0.0, self.last_stall_s - self.short_s) if self.short_s else 0.0


class ArmPeers:
    """A board with the peers on it and our daemon installed, with this policy."""

    def __init__(
        self, folder: Path, profile: str, say: Callable[[str], None], policy: PolicyConfig = DEFAULTS.policy
    ) -> None:
        self.policy = policy
        names = [peer.name for peer in PEERS]
        self.machine = QemuBoard(
            profile, folder / profile, say=say, packages=names, keys=public_keys(folder / "adbkey")
        )
        self.profile = profile
        connector = Connector(ServerAddress("127.0.0.1", 1), folder / "adbkey", 3600.0)
        self.device: Device = connector.device(Target(self.machine.address, via_server=False))
        self.service: Service | None = None
        stage = Stage(lambda command: self.device.must(["sh", "-c", command], command).text)
        room_mib = stage.app_mib * SHARES
        self.order: dict[str, Any] = {
            "cgroup": APPS_SLICE if self.machine.profile.systemd else "",
            "apps": APPS, "app_mib": stage.app_mib, "game_mib": room_mib - len(APPS) * stage.app_mib,
            "mib_per_s": MIB_PER_S, "limit_s": LIMIT_S, "out": OUT,
        }  # fmt: skip

    def run(self, killer: Killer) -> Outcome:
        """One trial. It is as on a fresh boot before and after."""
        self._start(killer)
        try:
            order = json.dumps({**self.order, "killer": killer.command, "marker": killer.marker})
            start = script(_START, OUT, TRIAL, order)
            self.device.must(start, f"a trial of {killer.name}")
            found = self._outcome(killer)
        finally:
            if killer == OURS:
                self._ours().stop()
            elif killer.unit:
                self.device.must(["systemctl", "stop", killer.unit], f"stopping {killer.unit}")
        deaths = tuple((name, adj, number, at) for name, adj, number, at in found["deaths"])
        living = tuple((name, adj) for name, adj in found["living"])
        rest = {name: found[name] for name in Outcome._fields if name not in ("deaths", "living")}
        return Outcome(deaths, living, **rest)

    def _start(self, killer: Killer) -> None:
        if self.order["cgroup"]:
            self.device.must(["systemctl", "start", "apps.slice"], "making a place for the applications")
        if killer == OURS:
            self._ours().start(observe=False)
        elif killer.unit:
            self.device.must(["systemctl", "start", killer.unit], f"starting {killer.unit}")

    def _outcome(self, killer: Killer) -> dict[str, Any]:
        # Asked for now and then: a board that thrashes may be silent for longer than a connection waits.
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            time.sleep(2.0)
            said = self.device.must(script(_LOOK, OUT), "looking for its outcome").text.strip()
            if said.startswith("{"):
                found: dict[str, Any] = json.loads(said)
                return found
            if said != "running":
                break
        raise RuntimeError(f"the trial of {killer.name} came to nothing: {said[-400:]}")

    def _ours(self) -> Service:
        if self.service is None:
            installed = run_steps(INSTALL, Installation(self.device, payload()))
            run_steps(CONFIG_PUSH, ConfigPush(self.device, Config(self.policy, DEFAULTS.monitor)))
            self.service = installed.service
        return self.service

    def version(self, killer: Killer) -> str:
        """Of the Debian package; of ours, that of the package."""
        return self.machine.versions.get(killer.name, "")

    def close(self) -> None:
        self.device.close()
        self.machine.close()


def measure(rounds: int, say: Callable[[str], None], profile: str, killers: Sequence[Killer]) -> str:
    """`rounds` trials of each killer, in turns, as a section of the report."""
    outcomes: dict[Killer, list[Outcome]] = {killer: [] for killer in killers}
    with tempfile.TemporaryDirectory(prefix="lmkd-bench-arm-") as folder:
        board = ArmPeers(Path(folder), profile, say)
        try:
            for number in range(rounds):
                for killer in killers:
                    begin = time.monotonic()
                    outcomes[killer].append(board.run(killer))
                    say(f"arm: round {number + 1}, {killer.name}: {time.monotonic() - begin:.0f} s")
            names = {killer: f"{killer.name} {board.version(killer)}".strip() for killer in killers}
        finally:
            board.close()
    return report([(names[killer], outcomes[killer]) for killer in killers], str(PROFILES[profile]))


def measure_all(rounds: int, say: Callable[[str], None]) -> list[str]:
    """The sections of all boards; a line for one on which it went wrong."""
    sections = []
    for profile, killers in (("board", (OURS, *PEERS, NOBODY)), ("systemd", (OURS, *PEERS, OOMD))):
        try:
            sections.append(measure(rounds, say, profile, killers))
        except (RuntimeError, SandboxError, DeviceError) as error:
            say(f"arm: {profile}: {error}")
            sections.append(f"Not measured on {profile}: {str(error).splitlines()[0]}\n")
    return sections


def report(found: Sequence[tuple[str, Sequence[Outcome]]], profile: str) -> str:
    """The table of one profile, as markdown."""
    head = [
        f"on an emulated ARM board ({profile})", "runs", "killed", "of them wrong", "by the kernel",
        "recovered: runs, s", "major faults: system, own", "CPU ms", "Rss / Pss MB",
    ]  # fmt: skip
    rows = []
    for name, outcomes in found:
        recovered = [each.recovery_s for each in outcomes if each.recovery_s >= 0]

        def middle(value: Callable[[Outcome], float], outcomes: Sequence[Outcome] = outcomes) -> float:
            return median(map(value, outcomes))

        has_process = any(each.rss_kb for each in outcomes)
        own = f"{middle(lambda each: each.major_faults):,.0f}" if has_process else "-"
        rows.append([
            name,
            str(len(outcomes)),
            f"{middle(lambda each: len(each.deaths)):.0f}",
            f"{middle(lambda each: len(each.wrong)):.0f}",
            f"{middle(lambda each: each.oom_kills):.0f}",
            f"{len(recovered)}, {median(recovered):.1f}" if recovered else "0, -",
            f"{middle(lambda each: each.system_major_faults):,.0f}, {own}",
            f"{middle(lambda each: each.cpu_ms):,.0f}" if has_process else "-",
            f"{middle(lambda each: each.rss_kb) / 1000:.1f} / {middle(lambda each: each.pss_kb) / 1000:.1f}"
            if has_process
            else "-",
        ])  # fmt: skip
    return table(head, rows) + (
        f"\nMedians. {len(APPS)} applications with Android's priorities, then a game in the foreground that takes all"
        " remaining memory and works with a third of it. Wrong: a process died while one with a higher oom_score_adj"
        " lived. Recovered: the game got its memory; the time runs from the moment 15 % of RAM and swap were left to"
        " the last stall of more than 10 %. The CPUs are emulated: compare within the table only.\n"
    )

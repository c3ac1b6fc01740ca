"""Low-memory killers side by side on one emulated ARM board: who dies, how soon it is over, and what each costs.

All of them meet the same applications and the same game, which wants more than is left; one after another, in turns.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from lmkd_py.board.errors import SandboxError
from lmkd_py.board.qemu.profile import PROFILES
from lmkd_py.board.scenario import APPS
from lmkd_py.core.config import DEFAULTS
from lmkd_py.host.errors import DeviceError
from tools.bench.figures import table
from tools.outcome.field import Field
from tools.outcome.killers import EARLYOOM, KERNEL, NOHANG, SYSTEMD_OOMD, Killer, ours

OURS = ours("lmkd-py", **DEFAULTS.policy._asdict())
PEERS = (EARLYOOM, NOHANG)
NOBODY = KERNEL._replace(name="the kernel alone")
Outcome = dict[str, Any]  # of Ground.run()


def measure(rounds: int, say: Callable[[str], None], profile: str, killers: Sequence[Killer]) -> str:
    """`rounds` trials of each killer, in turns, as a section of the report."""
    outcomes: dict[Killer, list[Outcome]] = {killer: [] for killer in killers}
    with tempfile.TemporaryDirectory(prefix="lmkd-bench-arm-") as folder:
        field = Field(Path(folder), profile, say)
        for number in range(rounds):
            for killer in killers:
                begin = time.monotonic()
                outcomes[killer].append(field.run(killer, "game"))
                say(f"arm: round {number + 1}, {killer.name}: {time.monotonic() - begin:.0f} s")
        names = {killer: f"{killer.name} {field.versions.get(killer.name, '')}".strip() for killer in killers}
    return report([(names[killer], outcomes[killer]) for killer in killers], str(PROFILES[profile]))


def measure_all(rounds: int, say: Callable[[str], None]) -> list[str]:
    """The sections of all boards; a line for one on which it went wrong."""
    sections = []
    for profile, killers in (("board", (OURS, *PEERS, NOBODY)), ("systemd", (OURS, *PEERS, SYSTEMD_OOMD))):
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
        recovered = [each["recovery_s"] for each in outcomes if each["recovery_s"] >= 0]

        def middle(value: Callable[[Outcome], float], outcomes: Sequence[Outcome] = outcomes) -> float:
            return median(map(value, outcomes))

        has_process = any(each["rss_kb"] for each in outcomes)
        own = f"{middle(lambda each: each['major_faults']):,.0f}" if has_process else "-"
        rows.append([
            name,
            str(len(outcomes)),
            f"{middle(lambda each: len(each['deaths'])):.0f}",
            f"{middle(lambda each: len(each['wrong'])):.0f}",
            f"{middle(lambda each: each['oom_kills']):.0f}",
            f"{len(recovered)}, {median(recovered):.1f}" if recovered else "0, -",
            f"{middle(lambda each: each['system_major_faults']):,.0f}, {own}",
            f"{middle(lambda each: each['cpu_ms']):,.0f}" if has_process else "-",
            f"{middle(lambda each: each['rss_kb']) / 1000:.1f} / {middle(lambda each: each['pss_kb']) / 1000:.1f}"
            if has_process
            else "-",
        ])  # fmt: skip
    return table(head, rows) + (
        f"\nMedians. {len(APPS)} applications with Android's priorities, then a game in the foreground that takes all"
        " remaining memory and works with a third of it. Wrong: a process died while one with a higher oom_score_adj"
        " lived. Recovered: the game got its memory; the time runs from the moment 15 % of RAM and swap were left to"
        " the last stall of more than 10 %. The CPUs are emulated: compare within the table only.\n"
    )

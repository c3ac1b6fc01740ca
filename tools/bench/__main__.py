"""`python -m tools.bench [--only PART ...] [--kills N] [--write]`: measures what docs/measurements.md shows.

Parts: latency, strike, step, peers, taken, pool, adb, idle, memory, which take about fifteen minutes together and need
root; and arm, the peers on emulated ARM boards, which takes half an hour more and is measured only when asked for.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from lmkd_py.core.config import with_settings
from lmkd_py.kernel.bpf import VARIANT_CURRENT, VARIANT_LIST, VARIANT_WALK
from tools.bench import adb_sync, arm, idle, kick, kill_latency, memory, peers, pool, report, step, strike, taken
from tools.bench.arena import Arena
from tools.bench.figures import ARM_MARKS, MARKS, replace_part
from tools.bench.guards import REPOSITORY, Daemon
from tools.bench.meminfo import Meminfo
from tools.bench.packages import Peer, unpack
from tools.bench.programs import MissingToolError, build

PARTS = ("latency", "strike", "step", "peers", "taken", "pool", "adb", "idle", "memory")
ARM = "arm"
ACTIONS = 300  # of a steward, with its pool and without
PAGE = os.path.join(REPOSITORY, "docs", "measurements.md")


def options(words: list[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("--only", action="append", choices=(*PARTS, ARM), help="measure this part (can be repeated)")
    parser.add_argument("--kills", type=int, default=200, help="kills of each killer in the latency part")
    parser.add_argument("--steps", type=int, default=20, help="steps of each case")
    parser.add_argument("--idle-seconds", type=float, default=60)
    parser.add_argument("--rounds", type=int, default=3, help="trials of each killer on the ARM boards")
    parser.add_argument("--write", action="store_true", help="put the tables between the marks of docs/measurements.md")
    parser.add_argument("--resume", default="", help=argparse.SUPPRESS)
    return parser.parse_args(words)


def say(text: str) -> None:
    """Print progress to stderr, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


class Run:
    """One run of the bench; `sections` survives the exec of the memory part in a file."""

    def __init__(self, chosen: argparse.Namespace, words: list[str]) -> None:
        self.chosen = chosen
        self.parts = chosen.only or list(PARTS)
        self.directory = chosen.resume or tempfile.mkdtemp(prefix="lmkd-bench-")
        self.words = words
        self.sections: list[str] = []
        self.state = os.path.join(self.directory, "sections.json")
        self.arm = ""
        self.idle_found: list[idle.Idle] = []
        if chosen.resume:
            with open(self.state) as stream:
                saved = json.load(stream)
            self.sections, self.arm = saved["sections"], saved["arm"]
            self.idle_found = [idle.Idle(*each) for each in saved["idle"]]
        else:
            self.sections.append(report.head(" ".join(["python -m tools.bench", *words])))

    def peers(self, *more: str) -> list[Peer]:
        """earlyoom, nohang and `more`, as far as they can be had; a line in the report for those that cannot."""
        found = []
        for name in ("earlyoom", "nohang", *more):
            try:
                found.append(unpack(name))
            except MissingToolError as missing:
                if str(missing) not in self.sections:
                    self.sections.append(str(missing))
        return found

    def measure(self) -> None:
        """All parts but the last; the last does not return."""
        chosen, parts = self.chosen, self.parts
        if "latency" in parts:
            say(f"latency: {chosen.kills} kills each by lmkd-py and the C loop, in turns")
            self.sections.append(report.latency(kill_latency.measure(chosen.kills)))
        if "strike" in parts:
            say(f"strike: {chosen.kills} in-kernel strikes by list, of the reclaiming process and by walk, and kicks")
            variants = (VARIANT_LIST, VARIANT_CURRENT, VARIANT_WALK)
            found = [strike.measure(variant, chosen.kills) for variant in variants]
            self.sections.append(report.strikes(found, kick.measure(min(chosen.kills, 60))))
        others = self.peers() if {"peers", "idle", "memory"} & set(parts) else []
        responses, walked = [], []
        if "step" in parts:
            for case in step.CASES:
                say(f"step: {case.label}")
                responses.append(step.measure(case, chosen.steps))
        if "peers" in parts and others:
            for from_pct in (peers.PLENTY_PCT, peers.NEAR_PCT):
                say(f"peers: {chosen.steps} steps from {from_pct} % available")
                crowd = build("crowd", self.directory)
                walked += peers.measure(others, crowd, self.directory, chosen.steps, from_pct)
        if responses or walked:
            self.sections.append(report.steps(responses, walked))
        if walked:
            self.sections.append(report.peer_wakeups(walked))
        if "taken" in parts:
            say(f"taken: {chosen.steps} kills each by all of them in one thrashing group")
            self.sections.append(report.taken(taken.measure(self.peers("oomd"), self.directory, chosen.steps)))
        if "pool" in parts:
            say(f"pool: {ACTIONS} actions with the private pool and without")
            self.sections.append(report.pool(pool.measure(ACTIONS)))
        if "adb" in parts:
            self._adb()
        if ARM in parts:
            self.arm = "\n".join((self.sections[0], *arm.measure_all(chosen.rounds, say)))
        if "idle" in parts:
            say(f"idle: {chosen.idle_seconds:.0f} s")
            self.idle_found = idle.measure(chosen.idle_seconds, others, self.directory)
        if "memory" in parts:
            say("memory: this program makes room and comes back")
            self._memory({peer.name: peer for peer in others})
        self.finish([])

    def _adb(self) -> None:
        rounds = max(5, self.chosen.steps // 2)
        say(f"adb: {rounds} rounds of each transfer, ours and adb's in turns")
        scratch = Path(self.directory) / "adb"
        scratch.mkdir()
        try:
            self.sections.append(report.transfers(adb_sync.measure(scratch, rounds), adb_sync.adb_version()))
        except MissingToolError as missing:
            self.sections.append(str(missing))

    def _memory(self, others: dict[str, Peer]) -> None:
        with open(self.state, "w") as stream:
            json.dump({"sections": self.sections, "idle": self.idle_found, "arm": self.arm}, stream)
        meminfo = Meminfo(os.path.join(self.directory, "meminfo.memory"))
        name = f"lmkd_bench_{os.getpid()}"
        root = os.path.join(self.directory, "root")
        os.mkdir(root, 0o700)
        with Arena(count=1) as arena:  # only to learn what a config for such a group looks like
            monitor = arena.board.monitor_config(discovery={"scan_min_adj": 100})
        monitor = with_settings(
            monitor,
            domain={
                "path": os.path.join(os.path.dirname(monitor.domain.path), name),
                "psi_path": os.path.join(os.path.dirname(monitor.domain.psi_path), name),
            },
            guarantee={"reserve_kb": 0},  # the table says that it comes on top
        )
        daemon = Daemon(monitor, kill_latency.policy())
        daemon.write_config(root)
        then = [sys.executable, "-m", "tools.bench", "--resume", self.directory, *self.words]
        out = os.path.join(self.directory, "memory.txt")
        crowd = build("crowd", self.directory)
        memory.hand_over(out, name, crowd, meminfo.path, daemon.command(root), others, then)

    def resume(self) -> None:
        """Continue after the memory part has started this program anew."""
        self.finish(memory.read(os.path.join(self.directory, "memory.txt")))

    def finish(self, found: list[memory.Memory]) -> None:
        """Prints everything and, if wanted, writes it."""
        if found or self.idle_found:
            self.sections.append(report.rest(found, self.idle_found))
        text = "\n".join(section.strip() + "\n" for section in self.sections)
        parts = [(self.arm, ARM_MARKS)] if self.arm else []
        if set(self.parts) != {ARM}:
            parts.append((text, MARKS))
        for part, marks in parts:
            print(part)
            if self.chosen.write:
                with open(PAGE) as stream:
                    page = stream.read()
                with open(PAGE, "w") as stream:
                    stream.write(replace_part(page, part, marks))


def main() -> int:
    """Exit code 2: something is missing, said in one line."""
    words = sys.argv[1:]
    chosen = options(words)
    if os.geteuid() != 0 and chosen.only != [ARM]:
        print("the bench makes memory pressure in a cgroup and traces the kernel: run it as root", file=sys.stderr)
        return 2
    if chosen.resume:
        words = words[2:]
    run = Run(chosen, words)
    try:
        run.resume() if chosen.resume else run.measure()
    except MissingToolError as missing:
        print(missing, file=sys.stderr)
        return 2
    finally:  # not reached by the exec of the memory part, which comes back to the same directory
        shutil.rmtree(run.directory, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

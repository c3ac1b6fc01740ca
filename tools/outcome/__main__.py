"""`python -m tools.outcome`: killers under workloads on emulated boards, one JSON line a run into a file, and a table.

What is in the file already is not run again. Without options: game and thrash under steady, earlyoom and the kernel on
the profile `board`, one run each.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lmkd_py.board.errors import SandboxError
from lmkd_py.board.qemu.profile import DEFAULT_PROFILE, PROFILES
from lmkd_py.board.workloads.catalog import WORKLOADS
from lmkd_py.host.errors import DeviceError
from tools.bench.figures import OUTCOME_MARKS, replace_part
from tools.outcome.field import CONDITIONS, Field, profile_of
from tools.outcome.killers import KILLERS, Killer, parse
from tools.outcome.plot import scatter
from tools.outcome.report import groups, report
from tools.outcome.runs import Cell, append, cells, read, to_do

CELLS = tuple(f"{workload}:{killer}" for workload in ("game", "thrash") for killer in ("steady", "earlyoom", "kernel"))

PAGE = Path("docs/outcome.md")


def options(words: Sequence[str]) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tools.outcome", description=__doc__)
    parser.add_argument(
        "--cells", action="append", metavar="WORKLOAD:KILLER[:PROFILE]", help="* stands for any; repeat"
    )
    parser.add_argument("--runs", type=int, default=1, help="of each cell, in turns")
    parser.add_argument("--minutes", type=float, default=0, help="begin no run after so many; 0: go on to the end")
    parser.add_argument("--seed", type=int, default=1, help="of the order of the cells and of what a workload draws")
    parser.add_argument("--file", type=Path, default=Path("build/outcome.jsonl"), help="of the runs; it grows")
    parser.add_argument(
        "--killer",
        action="append",
        default=[],
        metavar="NAME=COMMAND",
        help="another one; a program of this machine is copied to the board",
    )
    parser.add_argument(
        "--register",
        default="",
        metavar="procs:PATH|socket:PATH",
        help="tell those of --killer of every application, in a file or by LMK_PROCPRIO",
    )
    parser.add_argument("--write", action="store_true", help="put the table into docs/outcome.md, and plots beside it")
    parser.add_argument("--table", action="store_true", help="only show the table of the file")
    return parser.parse_args(words)


def say(text: str) -> None:
    """Print progress to stderr, with the time."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def commit() -> str:
    """What is checked out, `+` behind it when something is changed."""
    words = ["git", "describe", "--always", "--dirty=+", "--exclude", "*"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


class Series:
    """Runs in turns, each into the file as it ends."""

    def __init__(self, chosen: argparse.Namespace, killers: dict[str, Killer]) -> None:
        self.chosen, self.killers = chosen, killers
        self.commit = commit()

    def carry_out(self, left: Sequence[tuple[Cell, int]]) -> None:
        """All that are left, or as many as there is time for."""
        deadline = time.monotonic() + self.chosen.minutes * 60 if self.chosen.minutes else float("inf")
        with tempfile.TemporaryDirectory(prefix="lmkd-outcome-") as folder:
            fields: dict[str, Field] = {}
            for done, (cell, number) in enumerate(left):
                if time.monotonic() > deadline:
                    say(f"time is up: {len(left) - done} runs are left; the same command goes on with them")
                    return
                if cell.profile not in fields:
                    fields[cell.profile] = Field(Path(folder) / cell.profile, cell.profile, say)
                self._run(fields[cell.profile], cell, number)

    def _run(self, field: Field, cell: Cell, number: int) -> None:
        begin, load = time.monotonic(), os.getloadavg()[0]
        try:
            found: dict[str, Any] = field.run(self.killers[cell.killer], cell.workload, self.chosen.seed)
        except (RuntimeError, SandboxError, DeviceError) as error:
            found = {"failed": str(error).splitlines()[0]}
        host_s = time.monotonic() - begin
        append(self.chosen.file, {
            **cell._asdict(), "run": number, "seed": self.chosen.seed, "commit": self.commit,
            "version": field.versions.get(self.killers[cell.killer].package, ""),
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "load": [round(load, 1), round(os.getloadavg()[0], 1)], "host_s": round(host_s, 1), **found,
        })  # fmt: skip
        came = found.get("failed") or f"{len(found['deaths'])} died"
        say(f"{cell} run {number}: {came}; {host_s:.0f} s")


def main() -> int:
    """Exit code 2: what was asked for is not there, said in one line."""
    chosen = options(sys.argv[1:])
    try:
        killers = {**KILLERS, **{each.name: each for each in (parse(word, chosen.register) for word in chosen.killer)}}
        profiles = [DEFAULT_PROFILE, *(name for name in PROFILES if name != DEFAULT_PROFILE)]
        profiles += [f"{name}+{condition}" for name in PROFILES for condition in CONDITIONS]
        wanted = cells(chosen.cells or CELLS, WORKLOADS, killers, profiles)
        wanted = [each for each in wanted if profile_of(each.profile).systemd or not killers[each.killer].has_systemd]
        if not wanted:
            raise ValueError("systemd-oomd and oomd need the profile systemd")
        if not chosen.table:
            Series(chosen, killers).carry_out(to_do(wanted, chosen.runs, read(chosen.file), chosen.seed))
    except (ValueError, SandboxError, DeviceError) as error:
        print(error, file=sys.stderr)
        return 2
    lines = read(chosen.file)
    print(report(lines))
    if chosen.write:
        write(lines)
    return 0


def write(lines: Sequence[dict[str, Any]]) -> None:
    """The page and its plots, one for each workload on the profile `board`."""
    found = {workload: runs for profile, workload, runs in groups(lines) if profile == DEFAULT_PROFILE}
    for workload, runs in found.items():
        plot = scatter(f"{workload} on {DEFAULT_PROFILE}", runs, WORKLOADS[workload].minimum)
        (PAGE.parent / f"outcome-{workload}.svg").write_text(plot)
    plots = " ".join(f"![{workload}](outcome-{workload}.svg)" for workload in found)
    PAGE.write_text(replace_part(PAGE.read_text(), f"{report(lines)}\n{plots}", OUTCOME_MARKS))


if __name__ == "__main__":
    sys.exit(main())

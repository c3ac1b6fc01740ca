"""The runs of a file as tables: what each killer did with each workload, and which cells are won."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from statistics import median
from typing import Any

from lmkd_py.board.workloads.catalog import WORKLOADS
from tools.bench.figures import table
from tools.outcome.bars import BARS, OURS, Run, kills
from tools.outcome.field import profile_of
from tools.outcome.ratio import Verdict
from tools.outcome.runs import cell_of

QUIET = 3.0  # load average up to which a run counts as one of a quiet machine
HEAD = (
    *("killer", "runs", "killed (by the kernel)", "wrong", "front / perceptible alive", "served"),
    *("recovery s", "stall some / full s", "refaults anon / file", "CPU s", "Pss MB", "trace kB", "progress"),
)
# Of a workload's own words, those that fit into a cell of the table.
WORDS = (
    *("served_mib", "written_mib", "rounds", "fast_since_s", "cold_starts", "return_s"),
    *("burst_ms", "late", "up", "up_s", "leaked_mib", "round_ms"),
)


def middle(runs: Sequence[Run], value: Callable[[Run], float], digits: int = 0) -> str:
    """The median, and the range where there are several."""
    found = sorted(map(value, runs))
    text = f"{median(found):,.{digits}f}"
    return text if len(found) < 2 else f"{text} ({found[0]:,.{digits}f} to {found[-1]:,.{digits}f})"


def lived(runs: Sequence[Run], adj: int) -> str:
    """In how many runs nobody with this oom_score_adj or a lower one died."""
    return f"{sum(all(theirs > adj for _, _, theirs, *_ in run['deaths']) for run in runs)}/{len(runs)}"


def row(killer: str, runs: Sequence[Run]) -> list[str]:
    """One killer under one workload."""
    has_process = any(run["rss_kb"] for run in runs)
    recovered = [run for run in runs if run["recovery_s"] >= 0]
    own = runs[-1]["progress"]
    return [
        *(killer, str(len(runs))),
        f"{middle(runs, kills)} ({middle(runs, lambda run: run['oom_kills'])})",
        middle(runs, lambda run: len(run["wrong"])),
        f"{lived(runs, 0)}, {lived(runs, 200)}",
        f"{sum(bool(run['done_s']) for run in runs)}/{len(runs)}",
        middle(recovered, lambda run: run["recovery_s"], 1) if recovered else "-",
        f"{middle(runs, lambda run: run['some_s'], 1)} / {middle(runs, lambda run: run['full_s'], 1)}",
        f"{middle(runs, lambda run: run['refault_anon'])} / {middle(runs, lambda run: run['refault_file'])}",
        middle(runs, lambda run: run["cpu_ms"] / 1000, 1) if has_process else "-",
        middle(runs, lambda run: run["pss_kb"] / 1000, 1) if has_process else "-",
        middle(runs, lambda run: run["trace_bytes"] / 1000) if killer in OURS else "-",
        ", ".join(f"{word} {own[word]}" for word in WORDS if word in own),
    ]  # fmt: skip


def judged(workload: str, runs: dict[str, list[Run]]) -> list[str]:
    """A line for each killer of ours whose bars can be judged."""
    lines = []
    for killer in (name for name in OURS if name in runs):
        found = [(bar.name, bar.verdict(killer, runs)) for bar in BARS[workload]]
        if all(verdict is Verdict.NONE for _, verdict in found):
            continue
        lines.append(f"- {killer}: " + "; ".join(f"{name}: **{verdict.value}**" for name, verdict in found))
    return lines


Group = tuple[str, str, dict[str, list[Run]]]


def groups(lines: Sequence[dict[str, Any]]) -> list[Group]:
    """Runs that came to something: profile, workload and the runs of each killer."""
    whole = [line for line in lines if "failed" not in line]
    found: list[Group] = []
    for profile, workload in product(dict.fromkeys(line["profile"] for line in whole), WORKLOADS):
        runs: dict[str, list[Run]] = {}
        for line in whole:
            if (line["profile"], line["workload"]) == (profile, workload):
                runs.setdefault(line["killer"], []).append(line)
        if runs:
            found.append((profile, workload, runs))
    return found


def overview(profile: str, found: Sequence[Group]) -> list[str]:
    """Who died on this profile, a row for each workload and a column for each killer."""
    of_profile = [group for group in found if group[0] == profile]
    killers = list(dict.fromkeys(killer for *_, runs in of_profile for killer in runs))
    killers.sort(key=lambda killer: killer not in OURS)
    rows = [
        [workload, *(toll(runs[killer]) if killer in runs else "" for killer in killers)]
        for _, workload, runs in of_profile
    ]
    return [f"\n### Who died on {profile}\n", table(["workload", *killers], rows)]


def toll(runs: Sequence[Run]) -> str:
    """How many died, and what is worse than that."""
    wrong = sum(len(run["wrong"]) for run in runs)
    lost = sum(any(adj <= 0 for _, _, adj, *_ in run["deaths"]) for run in runs)
    unserved = sum(not run["done_s"] for run in runs)
    words = ((f"{wrong} wrong", wrong), ("front died", lost), ("not served", unserved and not lost))
    return ", ".join([middle(runs, kills), *(word for word, so in words if so)])


def report(lines: Sequence[dict[str, Any]]) -> str:
    """All of a file, as markdown."""
    found = groups(lines)
    sections = [text for profile in dict.fromkeys(group[0] for group in found) for text in overview(profile, found)]
    sections += [text for group in found for text in _section(*group)]
    failed = [f"{cell_of(line)} run {line['run']}: {line['failed']}" for line in lines if "failed" in line]
    if failed:
        sections += ["", "Came to nothing and tried again: " + "; ".join(failed)]
    return "\n".join(sections).strip() + "\n"


def _section(profile: str, workload: str, runs: dict[str, list[Run]]) -> list[str]:
    every = [run for found in runs.values() for run in found]
    known = f"; at least {WORKLOADS[workload].minimum} must die to serve the foreground" if profile == "board" else ""
    loads = sorted(load for run in every for load in run["load"])
    notes = [f"load {loads[0]:.1f} to {loads[-1]:.1f}", "commit " + ", ".join(sorted({run["commit"] for run in every}))]
    if max(map(len, runs.values())) == 1:
        notes.insert(0, "**one run: direction only**")
    if loads[-1] >= QUIET:
        notes.insert(0, "**under load: direction only**")
    return [
        f"\n### {workload} on {profile} ({profile_of(profile)}{known})\n",
        "; ".join(notes) + ".\n",
        table(HEAD, [row(killer, found) for killer, found in runs.items()]),
        *judged(workload, runs),
    ]

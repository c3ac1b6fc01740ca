"""`lmkd-py selftest [--seconds S] [--json] [--negative-control]`."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from ..inherited import EXIT_BAD_CONFIG, EXIT_KERNEL_LACKS, EXIT_NO_PERMISSION, EXIT_STOPPED
from . import machine, verdict
from .group import STATE, NoGroup, make_group, watch
from .load import PLACES, Load, NoDisk
from .phases import Phases, locked_kb
from .tested_daemon import DaemonFailed, TestedDaemon

LIMIT_MIB = 64
SECONDS = 20.0
DOES_NOT_HOLD = 1
USAGE = """usage: lmkd-py selftest [--seconds S] [--json] [--negative-control]

Tests the memory guarantee on this machine, in a memory cgroup of its own: which layers are active, what the killer
takes from the kernel, how fast it is, and whether the kernel kills while the daemon stands still. Needs root.

  --seconds S          about how long to make pressure, 1 to 3600; default 20
  --json               print the result as one JSON object
  --negative-control   use a killer that allocates; the test must fail

exit codes: 0 the guarantee holds, 1 it does not, 2 bad usage, 3 no permission, 4 the kernel lacks something"""


def main(words: list[str]) -> int:
    """Run the self-test; the exit code."""
    seconds, flags = SECONDS, []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            print(USAGE)
            return EXIT_STOPPED
        if word == "--seconds" or word.startswith("--seconds="):
            text = word[10:] if "=" in word else rest.pop(0) if rest else ""
            try:
                seconds = float(text)
            except ValueError:
                seconds = 0.0
            if not 1 <= seconds <= 3600:
                return _usage(f"--seconds: found {text!r}, wanted a number from 1 to 3600")
        elif word in ("--json", "--negative-control"):
            flags.append(word)
        else:
            return _usage(f"found {word!r}, wanted --seconds S, --json or --negative-control")
    if os.geteuid() != 0:
        return _fail("no permission: making a memory cgroup needs root", EXIT_NO_PERMISSION)
    try:
        found = run(seconds, "--negative-control" in flags)
    except (NoGroup, NoDisk, DaemonFailed) as error:
        return _fail(str(error), EXIT_KERNEL_LACKS)
    except OSError as error:
        code = EXIT_NO_PERMISSION if isinstance(error, PermissionError) else EXIT_KERNEL_LACKS
        return _fail(f"{error.filename or 'selftest'}: {error.strerror or error}", code)
    print(json.dumps(found) if "--json" in flags else "\n".join(found["words"]), flush=True)
    return DOES_NOT_HOLD if found["wrong"] else EXIT_STOPPED


def _usage(text: str) -> int:
    print(f"lmkd-py: {text}\n{USAGE}", file=sys.stderr)
    return EXIT_BAD_CONFIG


def _fail(text: str, code: int) -> int:
    print(f"lmkd-py: selftest: {text}", file=sys.stderr)
    return code


def _place() -> str:
    # For state roots and traces; they may lie in memory.
    for path in (os.environ.get("TMPDIR", ""), *PLACES, "/run"):
        if path and os.access(path, os.W_OK):
            return os.path.join(os.path.realpath(path), f"lmkd-selftest-{os.getpid()}")
    raise NoDisk(f"none of {', '.join(PLACES)} is writable; set TMPDIR to a directory that is")


def run(seconds: float, careless: bool) -> dict[str, Any]:
    """The whole test; everything that it made is gone afterwards."""
    root = _place()
    group = make_group(f"lmkd_selftest_{os.getpid()}", LIMIT_MIB)
    os.mkdir(root, 0o700)
    watcher, ends = watch(group, root)
    load = Load(group)
    daemon = None
    try:
        _tell("a daemon of its own")
        daemon = TestedDaemon(os.path.join(root, STATE), group, careless)
        here = machine.look(root, daemon.monitor)
        return _measure(Phases(group, load, daemon, here, LIMIT_MIB), seconds)
    finally:
        load.close()
        if daemon is not None:
            daemon.stop()
        os.close(ends)
        os.waitpid(watcher, 0)


def _tell(phase: str) -> None:
    # Also a sign of life: on a slow board a phase takes most of a minute, and who listens over ADB hangs up on silence.
    print(f"selftest: {phase} ...", file=sys.stderr, flush=True)


def _measure(phases: Phases, seconds: float) -> dict[str, Any]:
    daemon, group, here = phases.daemon, phases.group, phases.machine
    steward = daemon.process.pid
    held_kb = locked_kb(steward)
    _tell("wakeups at rest")
    quiet = phases.wakeups(seconds / 4)
    _tell("kills under pressure")
    busy = phases.kills(seconds / 2)
    given_back = phases.least_locked_kb < held_kb
    latencies = phases.latencies_us()
    status = daemon.status()
    _tell("pressure while the daemon is stopped")
    frozen = phases.frozen(seconds) if status.layers >> 3 & 1 else None
    kernel = os.uname()
    found: dict[str, Any] = {
        "kernel": f"{kernel.sysname} {kernel.release} {kernel.machine}",
        "python": sys.version.split()[0],
        "group": group.memory,
        "limit_mib": LIMIT_MIB,
        "layers": verdict.layers(status.layers, here, daemon.reply.notes),
        "variant": here.variant,
        "strike_notes": list(here.strike_notes),
        "uncounted": here.uncounted,
        "access_faults": here.access_faults,
        "quiet": quiet._asdict(),
        "busy": busy._asdict(),
        "pool_given_back": given_back,
        "latency_us": {
            "kills": len(latencies),
            "p50": verdict.percentile(latencies, 0.5),
            "p99": verdict.percentile(latencies, 0.99),
            "max": verdict.percentile(latencies, 1.0),
        },
        "strike": frozen._asdict() if frozen is not None else None,
        "oom_kills": group.oom_kills(),
    }
    found["wrong"] = verdict.judge(found, quiet, busy, frozen)
    found["holds"] = not found["wrong"]
    found["words"] = verdict.lines(found)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

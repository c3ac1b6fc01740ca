"""The words after `lmkd-py`: parsed by hand, since an argument parser costs a megabyte of resident memory."""

from __future__ import annotations

import os
import sys

from ..core.vocabulary import ABSENT
from .inherited import EXIT_BAD_CONFIG, EXIT_NO_PERMISSION

LAYERS = ("0", "1", "2", "3", "4")  # of the memory guarantee
OBSERVE = ("--observe", "--dry-run")  # two names of one thing
USAGE = """usage: lmkd-py COMMAND [--root DIR] [options]

A low-memory killer in two processes: the killer waits for memory pressure and kills, the steward does the rest.

guard memory:
  run [--observe] [--require-layer N]
                  guard memory until SIGTERM; SIGHUP reads the configuration again
                  --observe (or --dry-run): decide and record, but signal nobody
                  --require-layer N: refuse to start unless layers 0 to N of the memory guarantee are active
  stop            end the daemon of this root and undo what it changed in the kernel, also when its processes were
                  killed; returns when another may start
look at it:
  check           what this machine and configuration give; changes nothing
  status          ask the running daemon
  selftest ...    test the memory guarantee under real pressure, in a memory cgroup of its own; selftest --help

  --root DIR      state root (config.bin, procs, traces/, ctl); default /data/adb/lmkd_py on Android, else
                  /var/lib/lmkd_py

examples:
  lmkd-py check
  lmkd-py run --observe --root /run/lmkd-try
  lmkd-py status --root /run/lmkd-try

exit codes: 0 clean stop, 1 it broke (status: no daemon answers), 2 bad usage or configuration, 3 no permission,
            4 the kernel lacks something, 5 no such domain (check), 6 another daemon runs on this root,
            7 no memory to start with"""


def default_root() -> str:
    """The state root without --root."""
    return "/data/adb/lmkd_py" if os.path.isdir("/data/adb") else "/var/lib/lmkd_py"


def main(words: list[str]) -> None:
    """Carry out one command line; exits with its code."""
    if words[:1] == ["selftest"]:
        from .interrupt import unwound
        from .selftest.__main__ import main as selftest

        sys.exit(unwound(selftest, words[1:]))
    sys.exit(_main(words))


def _main(words: list[str]) -> int:
    root, flags, command, required_layer = default_root(), [], "", ABSENT
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word in ("-h", "--help"):
            print(USAGE)
            return 0
        if word == "--root":
            if not rest:
                return _usage("--root: found nothing, wanted a directory")
            root = rest.pop(0)
        elif word.startswith("--root="):
            root = word[7:]
        elif word == "--require-layer" or word.startswith("--require-layer="):
            number = word[16:] if "=" in word else rest.pop(0) if rest else "nothing"
            if number not in LAYERS:
                return _usage(f"--require-layer: found {number}, wanted a layer from {LAYERS[0]} to {LAYERS[-1]}")
            required_layer = int(number)
        elif word.startswith("-"):
            flags.append(word)
        elif command:
            return _usage(f"found {word!r} after {command!r}, wanted options")
        else:
            command = word
    root = os.path.abspath(root)
    if command == "run":
        unknown = [flag for flag in flags if flag not in OBSERVE]
        if unknown:
            return _usage(f"run: found {unknown[0]!r}, wanted --observe or --root DIR")
        return _run(root, bool(flags), required_layer)
    if command in ("check", "status", "stop") and required_layer != ABSENT:
        return _usage(f"{command}: found --require-layer, wanted it with run only")
    if command in ("check", "status", "stop") and flags:
        return _usage(f"{command}: found {flags[0]!r}, wanted --root DIR")
    if command == "check":
        from .check import check

        return check(root)
    if command == "status":
        from .check import status

        return status(root)
    if command == "stop":
        from .stop import stop

        return stop(root)
    return _usage(f"found {command!r}, wanted run, stop, check or status" if command else "wanted a command")


def _usage(text: str) -> int:
    print(f"lmkd-py: {text}\n{USAGE}", file=sys.stderr)
    return EXIT_BAD_CONFIG


def _run(root: str, observe: bool, required_layer: int) -> int:
    from .start import StartFailed, start

    os.umask(0o077)  # a shell of adbd's has none
    try:
        return start(root, observe, required_layer)
    except StartFailed as failure:
        print(f"lmkd-py: {failure}", file=sys.stderr)
        return failure.code
    except PermissionError as error:
        print(f"lmkd-py: no permission: {error}; run as root", file=sys.stderr)
        return EXIT_NO_PERMISSION

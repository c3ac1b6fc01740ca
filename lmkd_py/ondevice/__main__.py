"""What lmkctl runs on a device: `python3 -m lmkd_py.ondevice VERB ROOT [WORD...]`; answers with one JSON object.

It lies in every release beside the payload. A step that must not be left half done is carried out over there, and
goes on when the cable is cut. Python 3.9, standard library, `wire` only.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from . import config, daemon, releases
from .files import Failed, lock

FAILED = 9


def _start(root: str, release: str, observe: str = "") -> dict[str, Any]:
    config.settle(root)
    config.stay_inside(root)
    before = daemon.status(root)
    if before["running"]:
        return {**before, "already": True}
    return daemon.start(root, release, bool(observe))


def _restart(root: str, release: str, observe: str = "") -> dict[str, Any]:
    config.settle(root)
    config.stay_inside(root)
    return daemon.restart(root, release, "", bool(observe))


def _upgrade(root: str, release: str) -> dict[str, Any]:
    config.settle(root)
    config.stay_inside(root)
    return releases.upgrade(root, release)


VERBS: dict[str, Callable[..., dict[str, Any]]] = {
    "status": daemon.status,
    "start": _start,
    "stop": daemon.stop,
    "restart": _restart,
    "upgrade": _upgrade,
    "apply": lambda root, nonce, seconds: config.apply(root, nonce, float(seconds)),
    "confirm": config.confirm,
    "revert": config.revert,
}


def main(words: list[str]) -> int:
    """Carry out one verb; returns the exit status."""
    if len(words) < 2 or words[0] not in VERBS:
        sys.stderr.write(f"found {words!r}, wanted one of {', '.join(VERBS)}, a state root, and the verb's words\n")
        return 2
    for number in (signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)  # the cable may go; what was begun is finished
    try:
        os.umask(0o077)  # adbd's is 0
        if words[0] != "status":
            lock(words[1])
        answer = VERBS[words[0]](os.path.abspath(words[1]), *words[2:])
    except (Failed, OSError, ValueError) as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return FAILED
    try:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        pass
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

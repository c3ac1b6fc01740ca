"""Install the daemon on a device, and take it away: releases by hash, one link that is switched by rename."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from ..ondevice.systemd import PLACE, UNIT
from .device import TRANSFER_S, Device
from .errors import Fault
from .facts import Facts, facts_of
from .push import push_atomic
from .python import find_python
from .scripts import script
from .service import Service
from .steps import Step
from .tree import Tree, push_tree

_BEGIN = 'mkdir -p "$1" "$1/releases" && chmod 700 "$1" && chmod 755 "$1/releases" && sync "$1"'
# Compiled once, here, and synced: a daemon that compiled while it starts would lose time, and a power cut could leave
# it half a file. A release's files never change, so nothing has to be compared with them. Docstrings, 0.2 MB in each
# process, are left out; by the plain name, as a daemon with -OO would have the library's files compiled anew, too.
_COMPILE = """"$1" -OO -m compileall -q --invalidation-mode unchecked-hash "$2" >/dev/null 2>&1
find "$2" -name "*.opt-2.pyc" | while read -r f; do mv "$f" "${f%.opt-2.pyc}.pyc"; done
find "$2" -name "*.pyc" -exec sync {} + ; """
_TRIAL = f'{_COMPILE}cd / && PYTHONPATH=$2 exec "$1" -B -c "import lmkd_py.ondevice.__main__, lmkd_py.daemon.commands"'
# Only what looks like a release of ours; $1 the root.
_TIDY = """cd "$1/releases" || exit 1; c=$(readlink "$1/current"); p=$(readlink "$1/previous")
for d in *; do n=${d%.new}; case "$n" in *[!0-9a-f]*) continue;; esac
[ ${#n} = 16 ] && [ -d "./$d" ] && [ ! -h "./$d" ] || continue
case "releases/$d" in "$c"|"$p") ;; *) rm -rf "./$d";; esac; done"""
_REMOVE_UNIT = f'systemctl disable {UNIT}; rm -f "{PLACE}"; systemctl daemon-reload; exit 0'
_REMOVE = 'rm -rf "$1/current" "$1/previous" "$1/releases" "$1/staging" "$1/interpreter"'
_PURGE = 'rm -rf "$1"'
_SAFE_ROOT = re.compile(r"/[A-Za-z0-9._+-]+(/[A-Za-z0-9._+-]+)+")


@dataclass(slots=True)
class Installation:
    """What an installation knows; the steps fill it in."""

    device: Device
    tree: Tree
    root: str = ""
    python: str = ""
    facts: Facts = field(default_factory=Facts)
    changed: bool = False
    answer: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def service(self) -> Service:
        """The daemon on this device."""
        return Service(self.device, self.root)

    @property
    def release(self) -> str:
        """Directory of this release on the device."""
        return f"{self.service.layout.releases}/{self.tree.digest[:16]}"

    def is_current(self) -> bool:
        """`current` leads to this release. Told by its name alone: links may lie on the way to the state root."""
        return self.service.release().rpartition("/")[2] == self.release.rpartition("/")[2]


def check_device(state: Installation) -> None:
    """Root, a Python, a device that has come up: nothing is changed before these are known."""
    device = state.device
    device.need_root()
    state.facts = facts_of(device)
    if state.facts.is_booting:
        raise device.error(Fault.BOOTING, "it is still booting", hint="wait for sys.boot_completed")
    state.root = safe_root(device, state.root or state.facts.state_root)
    state.python = find_python(device, state.python)


def make_root(state: Installation) -> None:
    """Create the state root with mode 0700."""
    state.device.must(script(_BEGIN, state.root), f"making {state.root}")


def push_release(state: Installation) -> None:
    """The payload as one archive; it appears under its hash by one rename."""
    state.changed = push_tree(state.device, state.tree, state.release)


def try_release(state: Installation) -> None:
    """Load the new code on the device before anything points to it."""
    state.device.must(script(_TRIAL, state.python, state.release), "loading the new release", timeout_s=120.0)


def push_interpreter(state: Installation) -> None:
    """Write down with which Python the daemon runs."""
    push_atomic(state.device, f"{state.python}\n".encode(), state.service.layout.interpreter)


def activate(state: Installation) -> None:
    """Switch `current`; a running daemon is replaced under its killer's guard, and put back if the new one fails."""
    tool = script(
        'cd / && PYTHONPATH=$3 exec "$1" -B -m lmkd_py.ondevice upgrade "$2" "$3"',
        state.python, state.root, state.release,
    )  # fmt: skip
    was_current = state.is_current()
    if was_current and not state.changed and state.service.status().get("running", False):
        state.answer = state.service.status()
        return
    state.changed = state.changed or not was_current
    result = state.device.run(tool, root=True, timeout_s=120.0, again=True)
    if result.rc != 0:
        raise state.device.failed(result, "switching to the new release", tool)
    state.answer = state.service.status()
    if state.answer.get("running") and not state.is_current():
        raise state.device.error(
            Fault.REVERTED, "the new release does not arm itself; the former one is back",
            hint="lmkctl logs tells why", output=reverted(result.text),
        )  # fmt: skip


def reverted(text: str) -> str:
    """Why, in the words of the daemon that did not arm itself; all that `upgrade` said where there are none."""
    try:
        return str(json.loads(text)["reverted"])
    except (ValueError, KeyError, TypeError):
        return text


def register(state: Installation) -> None:
    """Start at boot: a systemd unit where systemd runs, else words about how."""
    if not state.facts.has_systemd:
        state.notes.append("nothing starts it at boot here; after a reboot run lmkctl start")
        return
    push_atomic(state.device, unit(state.root).encode(), PLACE)
    enable = f"systemctl daemon-reload && systemctl enable {UNIT}"
    state.device.must(enable, "enabling the systemd unit", timeout_s=120.0)  # a slow board took more than 30 s


def tidy(state: Installation) -> None:
    """Keep the current release and the previous one."""
    state.device.must(script(_TIDY, state.root), "removing old releases", timeout_s=TRANSFER_S)


INSTALL: tuple[Step[Installation], ...] = (
    Step("check the device", check_device),
    Step("make the state root", make_root),
    Step("push the release", push_release),
    Step("try the release", try_release),
    Step("write the interpreter", push_interpreter),
    Step("activate", activate),
    Step("register at boot", register),
    Step("remove old releases", tidy),
)


def uninstall(device: Device, root: str, purge: bool) -> bool:
    """Stop it and remove the releases, with `purge` config and traces, too. False when nothing was there."""
    device.need_root()
    facts = facts_of(device)
    root = safe_root(device, root or facts.state_root)
    service = Service(device, root)
    there = bool(service.release()) and device.ask(["test", "-d", f"{root}/current/."], root=True).rc == 0
    if there:
        service.stop()
    if facts.has_systemd:
        device.must(_REMOVE_UNIT, "removing the systemd unit")
    device.must(script(_PURGE if purge else _REMOVE, root), f"removing {root}", timeout_s=TRANSFER_S)
    return there


def safe_root(device: Device, root: str) -> str:
    """The state root if it is one that may be made and removed as a whole."""
    if not _SAFE_ROOT.fullmatch(root) or ".." in root.split("/") or "." in root.split("/"):
        raise device.error(Fault.LOCAL, f"state root {root!r}", hint="wanted /two/names at least, of letters and ._+-")
    return root


def unit(root: str) -> str:
    """The systemd unit. SIGKILL for the steward alone: the killer is taken over, or ended by lmkctl stop.

    In the root slice: what a unit's MemoryMin is worth is what every slice above it has, and system.slice has none.
    """
    run = f"exec env PYTHONPATH=$(readlink -f {root}/current) $(cat {root}/interpreter) -B -m lmkd_py.daemon run"
    return f"""[Unit]
Description=lmkd_py, a low-memory killer
Conflicts=systemd-oomd.service earlyoom.service

[Service]
ExecStart=/bin/sh -c '{run} "$@"' sh --root {root}
UMask=0077
StandardOutput=append:{root}/log
KillMode=process
KillSignal=SIGKILL
SuccessExitStatus=SIGKILL
Restart=always
RestartPreventExitStatus=2 3 4 6
RestartSec=1
OOMScoreAdjust=-1000
Slice=-.slice
MemoryMin=10M
LimitMEMLOCK=infinity
LimitNOFILE=65536

[Install]
WantedBy=multi-user.target
"""

"""The daemon on a device: where it is installed, and the verbs that the device carries out by itself."""

from __future__ import annotations

import json
from typing import Any

from .device import Device
from .errors import Fault
from .layout import RootLayout
from .scripts import NEEDED, script

VERB_S = 180.0  # the end of the old pair, the start of a new one and, if that fails, of the old one again

# Runs the release's own tool with the Python that was chosen at installation: $1 the root, then verb and words.
_TOOL = """r=$1; v=$2; shift 2
c=$(readlink -f "$r/current") && [ -d "$c" ] || { echo "nothing is installed" >&2; exit 7; }
p=$(cat "$r/interpreter") || exit 7
cd / && PYTHONPATH=$c exec "$p" -B -m lmkd_py.ondevice "$v" "$r" "$@" """
# The selftest is a program of the release: its words are ours, its exit status the verdict.
_SELFTEST = """r=$1; shift
c=$(readlink -f "$r/current") && [ -d "$c" ] || { echo "nothing is installed" >&2; exit 7; }
p=$(cat "$r/interpreter") || exit 7
cd / && PYTHONPATH=$c exec "$p" -B -m lmkd_py.daemon selftest --json "$@" """
NOT_INSTALLED = 7
SELFTEST_SPARE_S = 240.0  # beside its phases: two interpreters that start and rehearse, on a slow CPU


class Service:
    """The daemon of one state root on one device."""

    def __init__(self, device: Device, root: str) -> None:
        self.device = device
        self.layout = RootLayout(root)

    def call(self, verb: str, *words: str, again: bool = False) -> dict[str, Any]:
        """Carry out a verb of lmkd_py.ondevice; its answer. REFUSED with its words when it failed."""
        command = script(_TOOL, self.layout.root, verb, *words)
        result = self.device.run(command, root=True, timeout_s=VERB_S, again=again, limit=1 << 20, what=verb)
        if result.rc == NOT_INSTALLED:
            raise self.device.error(Fault.REFUSED, "lmkd-py is not installed there", hint="lmkctl install")
        if result.rc == NEEDED:
            raise self.device.error(Fault.REFUSED, f"{verb}: {result.complaint[:500]}", command=command)
        if "No module named lmkd_py.ondevice" in result.complaint:
            raise self.device.error(
                Fault.REFUSED, f"{verb}: the release that is installed there is too old for this lmkctl",
                hint="lmkctl install", command=command,
            )  # fmt: skip
        if result.rc != 0:
            raise self.device.failed(result, verb, command)
        try:
            answer = json.loads(result.out)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise self.device.error(Fault.PROTOCOL, f"{verb}: found {result.text[:80]!r}, wanted its answer")
        return answer

    def selftest(self, seconds: float, *words: str) -> dict[str, Any]:
        """Show the memory guarantee over there; what it found. REFUSED where it could not be shown."""
        command = script(_SELFTEST, self.layout.root, "--seconds", f"{seconds:g}", *words)
        timeout_s = 3 * seconds + SELFTEST_SPARE_S
        result = self.device.run(command, root=True, timeout_s=timeout_s, limit=1 << 20, what="selftest")
        if result.rc == NOT_INSTALLED:
            raise self.device.error(Fault.REFUSED, "lmkd-py is not installed there", hint="lmkctl install")
        if result.rc not in (0, 1) or not result.out:
            raise self.device.error(Fault.REFUSED, f"selftest: {result.complaint[:500]}", command=command)
        try:
            found = json.loads(result.out)
        except ValueError:
            raise self.device.error(Fault.PROTOCOL, f"selftest: found {result.text[:80]!r}, wanted JSON") from None
        return {**found, "holds": result.rc == 0}

    def status(self) -> dict[str, Any]:
        """How things stand; `running` is False when no steward answers."""
        return self.call("status", again=True)

    def release(self) -> str:
        """Directory of the release in use; empty when nothing is installed."""
        return self.device.ask(script('readlink -f "$1"', self.layout.current), root=True).text

    def start(self, observe: bool) -> dict[str, Any]:
        """Start it unless it runs; returns when it is armed."""
        return self.call("start", self.release(), *(["observe"] if observe else []), again=True)

    def stop(self) -> dict[str, Any]:
        """End it, and a killer that was left alone."""
        return self.call("stop", again=True)

    def restart(self, observe: bool) -> dict[str, Any]:
        """A new pair; the old killer is on guard until the new one is armed."""
        return self.call("restart", self.release(), *(["observe"] if observe else []))

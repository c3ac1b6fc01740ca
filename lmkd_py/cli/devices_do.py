"""One verb on the chosen devices: every device gets its line, or its object, and the whole an exit code.

0 all well, 1 failed on every device, 3 on some; where all failed for one reason that has a code of its own, that code.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import typer

from ..host.device import Device
from ..host.errors import DeviceError, Fault
from ..host.fleet import DeviceReport, Interrupted, run_fleet
from ..host.targets import READY, Target
from .codes import CODES, INTERRUPTED, SOME_FAILED
from .options import Options, given
from .output import CliError, safe, say

T = TypeVar("T")
SCHEMA = 1


def on_devices(
    context: typer.Context,
    step: str,
    work: Callable[[Device], T],
    lines: Callable[[T], list[str]],
    facts: Callable[[T], dict[str, Any]] = lambda _: {},
    judge: Callable[[T], int] = lambda _: 0,
) -> None:
    """Do `work` on each device and tell what came of it; typer.Exit with the code unless all is well.

    lines: what a person reads. facts: what --json adds. judge: exit code of a device where the work was done and
    what was found is not well.
    """
    options = given(context)
    targets = options.targets()
    connector = options.connector(targets)
    told = Telling(options, step, len(targets), lines, facts, judge)
    devices = []
    for target in targets:
        if target.state == READY:
            devices.append(connector.device(target))
        else:
            told.take(DeviceReport(target.serial, 0, error=_not_ready(target)))
    told.begin()
    try:
        run_fleet(devices, work, jobs=options.jobs, heard=told.take)
    except Interrupted as stopped:
        told.interrupted(stopped.in_flight)
        raise typer.Exit(INTERRUPTED) from None
    told.finish()
    if told.code:
        raise typer.Exit(told.code)


def _not_ready(target: Target) -> DeviceError:
    if target.state == "unauthorized":
        return DeviceError(
            Fault.UNAUTHORIZED, target.serial, "it does not trust this host's key",
            hint="accept it on the device's screen",
        )  # fmt: skip
    return DeviceError(Fault.OFFLINE, target.serial, f"it is {target.state[:40]}", hint="plug it in again")


class Telling:
    """Says each report as it comes and counts."""

    def __init__(
        self, options: Options, step: str, total: int, lines: Callable[[Any], list[str]],
        facts: Callable[[Any], dict[str, Any]], judge: Callable[[Any], int],
    ) -> None:  # fmt: skip
        self._options, self._step, self._total = options, step, total
        self._lines, self._facts, self._judge = lines, facts, judge
        self._codes: dict[str, int] = {}
        self._live = sys.stderr.isatty() and not options.quiet and not options.json and total > 1

    def begin(self) -> None:
        """Draw the progress line, if there is one."""
        self._progress()

    def take(self, report: DeviceReport[Any]) -> None:
        """Print the report of one device and remember its exit code."""
        code = CODES.get(report.error.fault, 1) if report.error else self._judge(report.value)
        self._codes[report.serial] = code
        self._wipe()
        if self._options.json:
            print(json.dumps(self._object(report, code)), flush=True)
        elif report.error:
            print(f"lmkctl: {safe(str(report.error))}", file=sys.stderr, flush=True)
        else:
            prefix = f"{report.serial}: " if self._total > 1 else ""
            for line in self._lines(report.value):
                say(prefix + line)
        self._progress()

    def _object(self, report: DeviceReport[Any], code: int) -> dict[str, Any]:
        said: dict[str, Any] = {
            "schema": SCHEMA, "serial": report.serial, "step": self._step, "ok": code == 0, "rc": code, "ms": report.ms,
        }  # fmt: skip
        if report.error:
            error = report.error
            said["error"] = {"code": error.fault.value, "message": error.text, "hint": error.hint}
            if error.output:
                said["error"]["output"] = error.output
        else:
            said.update(self._facts(report.value))
        return said

    @property
    def code(self) -> int:
        """Of one device its own; of several 0, 3 when some failed, 1 when all did."""
        codes = list(self._codes.values())
        if not any(codes):
            return 0
        if 0 in codes:
            return SOME_FAILED
        return codes[0] if len(codes) == 1 else 1

    def finish(self) -> None:
        """The summary: always an object with --json, else a line when there was more than one device."""
        self._wipe()
        self._live = False
        failed = [serial for serial, code in self._codes.items() if code]
        if self._options.json:
            summary = {"devices": len(self._codes), "ok": len(self._codes) - len(failed), "failed": failed}
            print(json.dumps({"schema": SCHEMA, "summary": {**summary, "step": self._step, "rc": self.code}}))
        elif self._total > 1 and not self._options.quiet:
            words = f"{len(self._codes) - len(failed)} of {len(self._codes)} devices succeeded"
            names = f"; failed: {', '.join(failed[:10])}{' ...' if len(failed) > 10 else ''}" if failed else ""
            print(f"lmkctl: {self._step}: {words}{safe(names)}", file=sys.stderr)

    def interrupted(self, in_flight: list[str]) -> None:
        """After Ctrl-C: name the devices that were in work."""
        self._wipe()
        if self._options.json:
            summary = {"devices": self._total, "interrupted": in_flight, "step": self._step, "rc": INTERRUPTED}
            print(json.dumps({"schema": SCHEMA, "summary": summary}))
        print(f"lmkctl: interrupted while working on: {safe(', '.join(in_flight)) or 'none'}", file=sys.stderr)

    def _progress(self) -> None:
        if self._live:
            print(f"\r{self._step}: {len(self._codes)} of {self._total}", end="", file=sys.stderr, flush=True)

    def _wipe(self) -> None:
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@contextmanager
def the_device(context: typer.Context) -> Iterator[Device]:
    """The only device chosen, for verbs that work with one. CliError(4) for more; Ctrl-C is exit code 130."""
    device = _only(context)
    try:
        yield device
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    finally:
        device.close()


def _only(context: typer.Context) -> Device:
    options = given(context)
    targets = options.targets()
    if len(targets) != 1:
        raise CliError(f"{len(targets)} devices are chosen, but this command works with one; use -s SERIAL", 4)
    if targets[0].state != READY:
        raise _not_ready(targets[0])
    return options.connector(targets).device(targets[0])

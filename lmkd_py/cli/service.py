"""lmkctl start, stop, restart, status, logs and shell."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.notes import Note
from ..host.adb.shell import STDOUT, Result
from ..host.device import Device
from ..host.errors import DeviceError
from ..host.facts import facts_of
from ..host.install import safe_root
from ..host.scripts import script
from ..host.service import Service
from ..wire.sentences import sentence, standing
from . import local_status
from .devices_do import on_devices, the_device
from .options import given
from .output import safe

Observe = Annotated[bool, typer.Option("--observe", help="decide and record, but signal nobody")]
DAY_S = 86400.0


def service_of(context: typer.Context, device: Device) -> Service:
    """The daemon of a device, below --device-root or where it belongs."""
    root = given(context).root or facts_of(device).state_root
    return Service(device, safe_root(device, root))


def start(context: typer.Context, observe: Observe = False) -> None:
    """Start the daemon and wait until it is armed.

    \b
    lmkctl -s SERIAL start --observe      # see what it would kill
    """
    on_devices(context, "start", lambda device: service_of(context, device).start(observe), _lines, _facts)


def restart(context: typer.Context, observe: Observe = False) -> None:
    """Restart the daemon without a gap.

    The old killer stays on guard until the new one is armed.
    """
    on_devices(context, "restart", lambda device: service_of(context, device).restart(observe), _lines, _facts)


def stop(context: typer.Context) -> None:
    """Stop the daemon.

    Also ends a killer whose steward died.
    """
    on_devices(
        context,
        "stop",
        lambda device: service_of(context, device).stop(),
        lambda answer: ["stopped" if answer.get("stopped") else "was not running"],
        lambda answer: answer,
    )


def status(
    context: typer.Context,
    root: Annotated[
        Path | None, typer.Option(help="ask the daemon on this machine with this state root instead")
    ] = None,
) -> None:
    """Show the state of the daemon.

    Exits with 1 if it is not armed.
    """
    if root is not None:
        local_status.status(root)
        return
    on_devices(
        context,
        "status",
        lambda device: service_of(context, device).status(),
        lambda answer: [*_lines(answer), *_standing(answer)],
        _facts,
        lambda answer: 0 if answer.get("armed") else 1,
    )


def _lines(answer: dict[str, Any]) -> list[str]:
    if not answer.get("running", True):
        alone = answer.get("orphan")
        return [f"killer {alone} guards without a steward; lmkctl start" if alone else "not running; lmkctl start"]
    armed = "armed" if answer.get("armed") else "waiting for its domain" if answer.get("waiting") else "not armed"
    mode = ", observing only" if answer.get("observe") else ""
    config = str(answer.get("config_hash", ""))[:12]
    counts = ", ".join(f"{name} {answer.get(name, 0)}" for name in ("candidates", "kills", "records", "lost"))
    return [f"{armed}{mode}; steward {answer.get('steward_pid')}, killer {answer.get('killer_pid')}; config {config}; "
            f"{counts}"]  # fmt: skip


def _standing(answer: dict[str, Any]) -> list[str]:
    told, layers = answer.get("notes"), answer.get("layers")
    notes = [_note(each) for each in told if isinstance(each, dict)] if isinstance(told, list) else []
    filing = [f"the trace is not written now: {answer['filing']}"] if answer.get("filing") else []
    if answer.get("armed") and type(layers) is int:
        return [*filing, *standing(layers, notes)]
    return [*filing, *map(sentence, notes)]


def _note(told: dict[str, Any]) -> Note:
    # Of a daemon of another version, or of somebody who only plays one: fields may be missing, or be anything.
    fields = {name: told[name] for name, value in Note()._asdict().items() if type(told.get(name)) is type(value)}
    return Note(**fields)


def _facts(answer: dict[str, Any]) -> dict[str, Any]:
    return {"status": answer}


def logs(
    context: typer.Context,
    follow: Annotated[bool, typer.Option("-f", help="follow until Ctrl-C")] = False,
    lines: Annotated[int, typer.Option("-n", min=0, max=100_000, help="how many lines")] = 100,
) -> None:
    """Show what the daemon printed."""
    if not follow:
        on_devices(context, "logs", lambda device: _tail(context, device, lines), _text, lambda result: {
            "log": result.text})  # fmt: skip
        return
    with the_device(context) as device:
        path = service_of(context, device).layout.log
        words = script('tail -n "$2" -F "$1" 2>/dev/null', path, str(lines))
        device.deadline = float("inf")
        while True:
            try:
                device.run(words, root=True, sink=_print, timeout_s=DAY_S)
            except DeviceError as error:
                if not error.transient:
                    raise
                device.pause(1.0)
                words = script('tail -n 0 -F "$1" 2>/dev/null', path)


def _tail(context: typer.Context, device: Device, lines: int) -> Result:
    path = service_of(context, device).layout.log
    return device.must(script('[ ! -f "$1" ] || tail -n "$2" "$1"', path, str(lines)), "reading the log")


def _text(result: Result) -> list[str]:
    return result.out.decode("utf-8", "replace").splitlines()


def _print(kind: int, data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    stream = sys.stdout if kind == STDOUT else sys.stderr
    stream.write("\n".join(safe(line) for line in text.split("\n")))
    stream.flush()


def _raw(kind: int, data: bytes) -> None:
    stream = sys.stdout.buffer if kind == STDOUT else sys.stderr.buffer
    stream.write(data)
    stream.flush()


def shell(
    context: typer.Context,
    command: Annotated[
        list[str], typer.Argument(help="one word: a shell script; several: a program and its arguments")
    ],
    root: Annotated[bool, typer.Option("--root", help="run it as root")] = False,
) -> None:
    """Run a command on devices.

    On a single device the output is passed through unchanged, and lmkctl exits with the command's exit status.

    \b
    lmkctl -s SERIAL shell -- uname -a
    lmkctl -s SERIAL shell --root 'cat /proc/pressure/memory'
    """
    words = command[0] if len(command) == 1 else command
    options = given(context)
    if not (options.json or options.choice.everything or options.choice.targets or options.choice.label):
        with the_device(context) as device:
            result = device.run(words, root=root, sink=_raw, timeout_s=options.timeout_s)
        raise typer.Exit(result.rc)

    def work(device: Device) -> Result:
        return device.run(words, root=root, timeout_s=options.timeout_s)

    on_devices(
        context, "shell", work, _text,
        lambda result: {"status": result.rc, "out": result.text, "err": result.err.decode("utf-8", "replace")},
        lambda result: int(result.rc != 0),
    )  # fmt: skip

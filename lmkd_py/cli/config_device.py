"""lmkctl config push, pull, diff, confirm and revert: the configuration of devices."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.config import Config
from ..host import config_push as host
from ..host.device import Device
from ..host.facts import facts_of
from ..host.steps import run_steps
from ..wire.config import config_hash, encode_config
from ..wire.local_files import write_whole
from .config_file import File, load, text_of
from .devices_do import on_devices
from .options import given
from .output import CliError
from .service import service_of


def push(
    context: typer.Context,
    file: File,
    confirm_within: Annotated[
        float,
        typer.Option(
            min=5, max=3600, help="seconds until the former configuration returns unless this one is confirmed"
        ),
    ] = host.CONFIRM_S,
    hold: Annotated[bool, typer.Option("--hold", help="leave the confirmation to `lmkctl config confirm`")] = False,
) -> None:
    """Put a configuration on devices.

    The daemon on the device checks it first; one that it refuses changes nothing. If the configuration is not confirmed
    in time, because the device hangs or the connection is lost, the former one returns.

    \b
    lmkctl -s SERIAL config push settings.txt
    lmkctl -s SERIAL config push settings.txt --hold --confirm-within 600
    lmkctl -s SERIAL config confirm
    """
    config = load(file)
    root = given(context).root

    def work(device: Device) -> host.ConfigPush:
        return run_steps(host.CONFIG_PUSH, host.ConfigPush(device, config, root, confirm_within, hold))

    on_devices(context, "config push", work, _pushed, lambda done: {
        "config_hash": config_hash(done.data), "changed": not done.is_there, "confirmed": not hold})  # fmt: skip


def _pushed(done: host.ConfigPush) -> list[str]:
    name = f"config {config_hash(done.data)[:12]}"
    if done.is_there:
        return [f"{name} is in force already"]
    until = f"; returns in {done.confirm_s:.0f} s unless confirmed: lmkctl config confirm" if done.hold else ""
    where = f"; guards {done.config.monitor.domain.path}" if done.config.monitor.domain.path else ""
    return [
        f"{name} {'in force' if done.answer.get('running') else 'in place; the daemon is not running'}{where}{until}"
    ]


def pull(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="to this file; binary if it ends in .bin")]
    = None,
) -> None:  # fmt: skip
    """Print a device's configuration as text."""

    def work(device: Device) -> Config:
        return host.device_config(device, given(context).root)

    def lines(config: Config) -> list[str]:
        if output is None:
            return text_of(config).splitlines()
        data = encode_config(config) if output.suffix == ".bin" else text_of(config).encode()
        try:
            write_whole(str(output), data, 0o644)
        except OSError as error:
            raise CliError(f"{output}: {error.strerror}") from error
        return [f"{output}: {len(data)} bytes"]

    if output is not None and len(given(context).targets()) > 1:
        raise CliError("--output needs a single device; choose one with -s SERIAL")
    on_devices(context, "config pull", work, lines, lambda config: {
        "config": _plain(config)})  # fmt: skip


def _plain(value: Any) -> Any:
    # Named tuples as dictionaries, for JSON.
    if hasattr(value, "_asdict"):
        return {name: _plain(inner) for name, inner in value._asdict().items()}
    return value


def diff(context: typer.Context, file: File) -> None:
    """Compare the configuration of devices with a file.

    Exits with 1 if they differ.
    """
    wanted = load(file)

    def work(device: Device) -> tuple[str, list[str]]:
        ours = text_of(facts_of(device).in_its_domain(wanted)).splitlines()
        config = host.device_config(device, given(context).root)
        theirs = text_of(config).splitlines()
        found = difflib.unified_diff(theirs, ours, device.serial, str(file), lineterm="", n=0)
        return config.monitor.domain.path, list(found)

    def lines(found: tuple[str, list[str]]) -> list[str]:
        where, changes = found
        return [*([f"guards {where}"] if where else []), *(changes or ["no difference"])]

    on_devices(
        context, "config diff", work, lines, lambda found: {"guards": found[0], "diff": found[1]},
        lambda found: int(bool(found[1])),
    )  # fmt: skip


def confirm(context: typer.Context) -> None:
    """Keep a configuration that was pushed with --hold."""
    _call(context, "confirm", "confirmed")


def revert(context: typer.Context) -> None:
    """Take back a push that is not confirmed yet."""
    _call(context, "revert", "the former configuration is back")


def _call(context: typer.Context, verb: str, words: str) -> None:
    def lines(answer: dict[str, Any]) -> list[str]:
        return ["no push is waiting for confirmation"] if answer.get("reverted") is False else [words]

    on_devices(context, f"config {verb}", lambda device: service_of(context, device).call(verb, ""), lines)

"""lmkctl config push, pull, diff, confirm and revert: the configuration of devices."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any

import typer

from ..core.config import Config
from ..host import config_push as host
from ..host.config_text import config_text
from ..host.device import Device
from ..host.facts import facts_of
from ..host.steps import run_steps
from ..wire.config import config_hash, encode_config
from .config import File, load
from .devices_do import on_devices
from .options import given
from .output import CliError
from .service import service_of


def push(
    context: typer.Context,
    file: File,
    confirm_within: Annotated[
        float, typer.Option(min=5, max=3600, help="seconds after which the former one returns unless confirmed")
    ] = host.CONFIRM_S,
    hold: Annotated[bool, typer.Option("--hold", help="do not confirm: lmkctl config confirm does")] = False,
) -> None:
    """Give devices a configuration. One that the daemon refuses changes nothing."""
    config = load(file)
    root = given(context).root

    def work(device: Device) -> host.ConfigPush:
        return run_steps(host.CONFIG_PUSH, host.ConfigPush(device, config, root, confirm_within, hold))

    on_devices(context, "config push", work, _pushed, lambda done: {
        "config_hash": config_hash(done.data), "changed": not done.is_there, "confirmed": not hold})  # fmt: skip


def _pushed(done: host.ConfigPush) -> list[str]:
    name = f"config {config_hash(done.data)[:12]}"
    if done.is_there:
        return [f"{name} was there already"]
    until = f"; returns in {done.confirm_s:.0f} s unless confirmed: lmkctl config confirm" if done.hold else ""
    where = f"; guards {done.config.monitor.domain_path}" if done.config.monitor.domain_path else ""
    return [f"{name} {'in force' if done.answer.get('running') else 'in place, nobody runs'}{where}{until}"]


def pull(
    context: typer.Context,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="write it there, binary if it ends in .bin")]
    = None,
) -> None:  # fmt: skip
    """Print the configuration of a device as text, or write it to a file."""

    def work(device: Device) -> Config:
        return host.device_config(device, given(context).root)

    def lines(config: Config) -> list[str]:
        if output is None:
            return config_text(config).splitlines()
        data = encode_config(config) if output.suffix == ".bin" else config_text(config).encode()
        try:
            output.write_bytes(data)
        except OSError as error:
            raise CliError(f"{output}: {error.strerror}") from error
        return [f"{output}: {len(data)} bytes"]

    if output is not None and len(given(context).targets()) > 1:
        raise CliError("several devices and one file; leave --output out, or choose one with -s SERIAL")
    on_devices(context, "config pull", work, lines, lambda config: {
        "config": {part: values._asdict() for part, values in config._asdict().items()}})  # fmt: skip


def diff(context: typer.Context, file: File) -> None:
    """Show how the devices' configurations differ from a file; exit 1 where they do."""
    wanted = load(file)

    def work(device: Device) -> list[str]:
        ours = config_text(facts_of(device).in_its_domain(wanted)).splitlines()
        theirs = config_text(host.device_config(device, given(context).root)).splitlines()
        return list(difflib.unified_diff(theirs, ours, device.serial, str(file), lineterm="", n=0))

    on_devices(
        context, "config diff", work, lambda found: found or ["no difference"], lambda found: {"diff": found},
        lambda found: int(bool(found)),
    )  # fmt: skip


def confirm(context: typer.Context) -> None:
    """Keep a configuration that was pushed with --hold."""
    _call(context, "confirm", "confirmed")


def revert(context: typer.Context) -> None:
    """Put the former configuration back now, while the last push is not confirmed."""
    _call(context, "revert", "the former config is back")


def _call(context: typer.Context, verb: str, words: str) -> None:
    def lines(answer: dict[str, Any]) -> list[str]:
        return ["nothing waits for confirmation"] if answer.get("reverted") is False else [words]

    on_devices(context, f"config {verb}", lambda device: service_of(context, device).call(verb, ""), lines)


def register(app: typer.Typer) -> None:
    """Put the verbs into `lmkctl config`."""
    for verb in (push, pull, diff, confirm, revert):
        app.command(verb.__name__)(verb)

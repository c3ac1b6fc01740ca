"""The verbs of lmkctl: for each its place in the help, and the module that is loaded once the verb is called."""

from __future__ import annotations

from importlib import import_module
from typing import Any, NamedTuple

from .loading import ended_by_ctrl_c


class Verb(NamedTuple):
    """A verb, or a group of verbs. `help`: the first line of the function's docstring, or of the group's help."""

    name: str
    panel: str
    help: str
    module: str
    function: str  # `app` for a group

    def load(self) -> Any:
        """The function, or the typer.Typer of a group."""
        with ended_by_ctrl_c():
            return getattr(import_module(self.module), self.function)


_TRY, _DEVICES, _TRACES = "Try it", "Devices", "Kill traces"

# The order is the order of the help.
_ALL = (
    Verb("demo", _TRY, "Show the whole thing on a virtual device, under real memory pressure.",
         "lmkd_py.cli.demo", "demo"),
    Verb("devices", _DEVICES, "List devices and their states.", "lmkd_py.cli.devices", "devices"),
    Verb("doctor", _DEVICES, "Check a device for everything the daemon needs.", "lmkd_py.cli.devices", "doctor"),
    Verb("selftest", _DEVICES, "Test the memory guarantee under real pressure.", "lmkd_py.cli.selftest", "selftest"),
    Verb("install", _DEVICES, "Install the daemon on devices.", "lmkd_py.cli.install", "install"),
    Verb("uninstall", _DEVICES, "Stop the daemon and remove it from devices.", "lmkd_py.cli.install", "uninstall"),
    Verb("start", _DEVICES, "Start the daemon and wait until it is armed.", "lmkd_py.cli.service", "start"),
    Verb("stop", _DEVICES, "Stop the daemon.", "lmkd_py.cli.service", "stop"),
    Verb("restart", _DEVICES, "Restart the daemon without a gap.", "lmkd_py.cli.service", "restart"),
    Verb("status", _DEVICES, "Show the state of the daemon.", "lmkd_py.cli.service", "status"),
    Verb("logs", _DEVICES, "Show what the daemon printed.", "lmkd_py.cli.service", "logs"),
    Verb("shell", _DEVICES, "Run a command on devices.", "lmkd_py.cli.service", "shell"),
    Verb("collect", _TRACES, "Fetch new traces from devices.", "lmkd_py.cli.collect", "collect"),
    Verb("watch", _TRACES, "Watch one device live.", "lmkd_py.cli.watch", "watch"),
    Verb("explain", _TRACES, "Explain each kill of a trace.", "lmkd_py.cli.explain", "explain"),
    Verb("replay", _TRACES, "Make every recorded decision again and compare.", "lmkd_py.cli.replay", "replay"),
    Verb("board", _TRY, "Start and stop virtual devices on this machine.", "lmkd_py.cli.board", "app"),
    Verb("config", _DEVICES,
         "Show, check, push and revert configurations. docs/configuration.md lists every setting.",
         "lmkd_py.cli.config", "app"),
)  # fmt: skip
VERBS = {verb.name: verb for verb in _ALL}

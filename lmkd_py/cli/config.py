"""lmkctl config: show, check, push and revert configurations."""

from __future__ import annotations

from collections.abc import Callable

import typer

from . import config_device, config_file
from .groups import BareGroup

app = typer.Typer(
    cls=BareGroup,
    help="Show, check, push and revert configurations. docs/configuration.md lists every setting.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
# The order is the order of the help.
VERBS: tuple[Callable[..., None], ...] = (
    config_file.show, config_file.validate, config_file.encode,
    config_device.push, config_device.pull, config_device.diff, config_device.confirm, config_device.revert,
)  # fmt: skip
for verb in VERBS:
    app.command()(verb)

"""The group of lmkctl's verbs as typer wants it. Only the verb that is called is loaded; the help needs none."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand
from typer.main import get_command

from .groups import BareGroup
from .helptext import GroupedHelp
from .verbs import VERBS, Verb


class LazyVerbs(BareGroup, GroupedHelp):
    """All verbs, each a name and a line of help until somebody calls it."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for verb in VERBS.values():
            line = TyperCommand(verb.name, help=verb.help, rich_help_panel=verb.panel, rich_markup_mode=None)
            self.add_command(line)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The verb itself, loaded; None where there is none."""
        verb = VERBS.get(cmd_name)
        return None if verb is None else _loaded(verb)

    def invoke(self, ctx: Any) -> Any:
        """As typer has it; of an option that stands behind the verb the error says where it belongs."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            option = getattr(error, "option_name", "")  # of NoSuchOption, which is click's or typer's own
            if any(option in one.opts for one in super().get_params(ctx)):
                verb = ctx.invoked_subcommand
                error.message += f". It goes before the verb: lmkctl {option} ... {verb}"  # type: ignore[attr-defined]
            raise


def _loaded(verb: Verb) -> Any:
    alone = typer.Typer(add_completion=False, rich_markup_mode=None)
    found = verb.load()
    if isinstance(found, typer.Typer):
        alone.add_typer(found, name=verb.name, rich_help_panel=verb.panel)
        group: Any = get_command(alone)
        return group.commands[verb.name]
    alone.command(verb.name, rich_help_panel=verb.panel)(found)
    return get_command(alone)

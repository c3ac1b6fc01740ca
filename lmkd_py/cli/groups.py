"""A group of verbs whose options are looked at only where some are given."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class BareGroup(TyperGroup):
    """Where no option stands before the verb, none is converted: each has its default.

    Typer converts with pydantic, which takes longer to load than typer itself.
    """

    _none_given = False

    def get_params(self, ctx: Any) -> list[Any]:
        """The options before the verb; none while a line without any is parsed."""
        return [] if self._none_given else super().get_params(ctx)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """As typer has it."""
        self._none_given = bool(args) and args[0] in self.commands
        try:
            rest = super().parse_args(ctx, args)
            if self._none_given:
                ctx.params.update({one.name: one.get_default(ctx) for one in self.params})
        finally:
            self._none_given = False
        return rest

"""The help of lmkctl itself: verbs and options in groups, named by their `rich_help_panel`.

Typer heeds these panels only where markup is on. Markup is off, because a device's words must never be read as markup.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class GroupedHelp(TyperGroup):
    """A group of verbs whose help has one section for each panel, in the order of first use."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of options, then those of verbs."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            row = parameter.get_help_record(ctx)
            if row is not None:
                sections.setdefault(_panel(parameter, "Options"), []).append(row)
        _write(sections, formatter)
        self.format_commands(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of verbs: each with the first sentence of its help."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for name, verb in self.commands.items():
            if not verb.hidden:
                row = (name, verb.get_short_help_str(formatter.width))
                sections.setdefault(_panel(verb, "Commands"), []).append(row)
        _write(sections, formatter)


def _panel(one: Any, default: str) -> str:
    # Of typer's own class, or for a value that was not given a placeholder that is no string.
    panel = getattr(one, "rich_help_panel", None)
    return panel if isinstance(panel, str) else default


def _write(sections: dict[str, list[tuple[str, str]]], formatter: Any) -> None:
    for title, rows in sections.items():
        with formatter.section(title):
            formatter.write_dl(rows)

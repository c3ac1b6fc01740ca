"""The consoles that lmkctl prints to. rich takes long to load: what may print nothing imports this only to print."""

from __future__ import annotations

from rich.console import Console

console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
errors = Console(highlight=False, markup=False, emoji=False, soft_wrap=True, stderr=True)

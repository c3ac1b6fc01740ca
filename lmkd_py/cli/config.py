"""lmkctl config: show, check and encode a configuration."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from ..core.config import Config
from ..host.config_text import config_text, read_config
from ..wire.config import config_hash, encode_config
from .output import CliError, console, say

app = typer.Typer(help="Show, check and encode configurations.", no_args_is_help=True, rich_markup_mode=None)
File = Annotated[Path, typer.Argument(help="config.bin, or its text form")]


def load(path: Path) -> Config:
    """The config in a file, either form. CliError, ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}; wanted a config.bin or its text form") from error
    return read_config(data, str(path))


@app.command()
def show(file: File) -> None:
    """Print a configuration as text, every value, defaults included."""
    console.print(config_text(load(file)), end="")


@app.command("validate")
def check(file: File) -> None:
    """Exit 0 if the daemon would take it, 2 with the first thing that is wrong if not."""
    config = load(file)
    say(f"{file}: a good configuration, hash {config_hash(encode_config(config))[:12]}")


@app.command()
def encode(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="where to write the bytes")] = Path("config.bin"),
) -> None:
    """Check a configuration and write config.bin, by rename: a running daemon never sees half of it."""
    data = encode_config(load(file))
    new = output.with_name(output.name + ".new")
    try:
        new.write_bytes(data)
        os.replace(new, output)
    except OSError as error:
        raise CliError(f"{output}: {error.strerror}; choose another with --output FILE") from error
    say(f"{output}: {len(data)} bytes, hash {config_hash(data)[:12]}")

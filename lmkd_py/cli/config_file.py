"""lmkctl config show, validate and encode: a configuration in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..core.config import Config
from ..wire.config import config_hash, encode_config
from ..wire.local_files import read_bounded, write_whole
from .loading import ended_by_ctrl_c
from .output import CliError, say, warn

MAX_BYTES = 1 << 20
File = Annotated[Path, typer.Argument(help="config.bin, or the same as text")]


def load(path: Path) -> Config:
    """The config in a file, either form. CliError, ConfigError."""
    with ended_by_ctrl_c():
        from ..host.config_text import read_config, sets_nothing  # protobuf: no help needs it

    try:
        data = read_bounded(str(path), MAX_BYTES)
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}; wanted a config.bin or its text form") from error
    config = read_config(data, str(path))
    if sets_nothing(data, str(path)):
        warn(f"{path}: sets nothing: every setting has its default")
    return config


def text_of(config: Config) -> str:
    """A config as text, defaults included."""
    with ended_by_ctrl_c():
        from ..host.config_text import config_text

    return config_text(config)


def show(file: File) -> None:
    """Print a configuration as text, defaults included."""
    with ended_by_ctrl_c():
        from .terminal import console

    console.print(text_of(load(file)), end="")


def validate(file: File) -> None:
    """Check a configuration file.

    Exits with 0 if the daemon would accept it, else with 2 and the first problem.
    """
    config = load(file)
    say(f"{file}: valid configuration, hash {config_hash(encode_config(config))[:12]}")


def encode(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="where to write the bytes")] = Path("config.bin"),
) -> None:
    """Check a configuration and write it as config.bin.

    The file is replaced by rename, so a running daemon never sees half of it.
    """
    data = encode_config(load(file))
    try:
        write_whole(str(output), data, 0o644)  # whatever the umask: the daemon refuses what others may write to
    except OSError as error:
        raise CliError(f"{output}: {error.strerror}; choose another with --output FILE") from error
    say(f"{output}: {len(data)} bytes, hash {config_hash(data)[:12]}")

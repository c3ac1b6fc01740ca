"""lmkctl config: a configuration between its text for people (protobuf text format) and config.bin for the daemon."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer
from google.protobuf import text_format
from google.protobuf.message import DecodeError

from ..core.config import Config, validate
from ..pb import config_pb2
from ..wire.config import config_hash, decode_config, encode_config
from .output import CliError, console, say

app = typer.Typer(help="Show, check and encode configurations.", no_args_is_help=True, rich_markup_mode=None)
File = Annotated[Path, typer.Argument(help="config.bin, or its text form")]


def _message(path: Path) -> config_pb2.Config:
    # Text and bytes cannot be mistaken for each other: a message starts with a field tag, 0x0a or 0x12, followed by
    # a length, and the text format has a name there.
    try:
        data = path.read_bytes()
    except OSError as error:
        raise CliError(f"{path}: {error.strerror}; wanted a config.bin or its text form") from error
    if data[:1] in (b"\x0a", b"\x12") and not _is_text(data):
        try:
            return config_pb2.Config.FromString(data)
        except DecodeError as error:
            raise CliError(f"{path}: found {len(data)} bytes that are no Config ({error}); encode it again") from error
    try:
        return text_format.Parse(data.decode("utf-8"), config_pb2.Config())
    except (text_format.ParseError, UnicodeDecodeError) as error:
        reason = str(error).replace("\n", " ")
        raise CliError(f"{path}: {reason}; wanted the text form of Config, see proto/config.proto") from error


def _is_text(data: bytes) -> bool:
    # A text that starts with an empty line starts like a message.
    try:
        return all(one.isprintable() or one in "\n\r\t" for one in data.decode("utf-8"))
    except UnicodeDecodeError:
        return False


def _load(path: Path) -> Config:
    """The config in a file, with defaults filled in, every value checked. CliError or ConfigError."""
    message = _message(path)
    return validate(decode_config(message.SerializeToString()))


@app.command()
def show(file: File) -> None:
    """Print a configuration as text, every value, defaults included."""
    message = config_pb2.Config.FromString(encode_config(_load(file)))
    console.print(text_format.MessageToString(message), end="")


@app.command("validate")
def check(file: File) -> None:
    """Exit 0 if the daemon would take it, 2 with the first thing that is wrong if not."""
    config = _load(file)
    say(f"{file}: a good configuration, hash {config_hash(encode_config(config))[:12]}")


@app.command()
def encode(
    file: File,
    output: Annotated[Path, typer.Option("--output", "-o", help="where to write the bytes")] = Path("config.bin"),
) -> None:
    """Check a configuration and write config.bin, by rename: a running daemon never sees half of it."""
    data = encode_config(_load(file))
    new = output.with_name(output.name + ".new")
    try:
        new.write_bytes(data)
        os.replace(new, output)
    except OSError as error:
        raise CliError(f"{output}: {error.strerror}; choose another with --output FILE") from error
    say(f"{output}: {len(data)} bytes, hash {config_hash(data)[:12]}")

"""The configuration a state root holds."""

from __future__ import annotations

import os

from ..core.config import Config, validate
from ..wire.config import decode_config


def load_config(root: str, observe: bool) -> Config:
    """config.bin of a state root, checked; the defaults where there is none. Raises ConfigError or OSError."""
    try:
        with open(os.path.join(root, "config.bin"), "rb") as file:
            config = decode_config(file.read())
    except FileNotFoundError:
        config = Config()
    if observe:
        config = config._replace(monitor=config.monitor._replace(observe=1))
    return validate(config)

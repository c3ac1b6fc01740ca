"""The configuration a state root holds."""

from __future__ import annotations

import os

from ..core.config import Config, DomainKind, validate
from ..wire.config import decode_config
from ..wire.confines import inside, need_inside, read_confines
from ..wire.state_file import read_state_file

CONFIG_BYTES = 1 << 15  # the header of a trace holds all of it, in a frame of 64 KiB


def load_config(root: str, observe: bool) -> Config:
    """config.bin of a state root, checked; the defaults where there is none. Raises ConfigError or OSError.

    On a virtual device the domain has to be the device's own memory: the whole system would be the host's.
    """
    confines = read_confines()
    try:
        config = decode_config(read_state_file(os.path.join(root, "config.bin"), CONFIG_BYTES))
    except FileNotFoundError:
        config = Config()
    if config.monitor.domain.kind == DomainKind.AUTO:
        config = inside(config, confines)
    if observe:
        config = config._replace(monitor=config.monitor._replace(observe=1))
    need_inside(validate(config).monitor, confines)
    return config

"""`lmkd-py check` and `lmkd-py status`: words about this machine and about the running daemon."""

from __future__ import annotations

import os
import sys

from ..core.config import ConfigError, MonitorConfig
from ..kernel.bpf import VARIANT_NAMES, BpfRefused, load_apart
from ..kernel.domain import Domain, open_domain
from ..kernel.probe import probe
from ..kernel.triggers import close_triggers, open_triggers
from ..wire.control import Request, Verb, decode_reply, encode_request
from .config_file import load_config
from .inherited import EXIT_BAD_CONFIG, EXIT_DOMAIN_GONE, EXIT_KERNEL_LACKS, EXIT_NO_PERMISSION
from .steward.backstop import order_of
from .steward.control import ask


def check(root: str) -> int:
    """Open everything a killer would open, say what came of it, close it again."""
    try:
        config = load_config(root, False)
    except (ConfigError, OSError) as error:
        print(f"lmkd-py: {root}/config.bin: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    features = probe()
    for name, value in zip(features._fields, features):
        print(f"{name}: {value if name == 'memcg_version' else ('yes' if value else 'no')}")
    if not features.pidfd:
        print("lmkd-py: kernel without pidfd; Linux 5.3 or newer is needed", file=sys.stderr)
        return EXIT_KERNEL_LACKS
    try:
        domain = open_domain(config.monitor)
    except PermissionError as error:
        print(f"lmkd-py: no permission: {error}; run as root", file=sys.stderr)
        return EXIT_NO_PERMISSION
    except (OSError, ValueError) as error:
        print(f"lmkd-py: {error}", file=sys.stderr)
        return EXIT_DOMAIN_GONE
    triggers, missing = open_triggers(config.monitor, domain)
    strike = _strike(config.monitor, domain)
    print(f"domain: {domain.describe()}")
    for trigger in triggers:
        print(f"trigger: {trigger.effective}")
    for reason in missing:
        print(f"missing: {reason}")
    print(strike)
    for file in domain.allocating():
        print(f"missing: layer 0: each sample reads {file}, which allocates")
    code = 0 if triggers else EXIT_KERNEL_LACKS
    if code:
        print("lmkd-py: no trigger can be set up; see the lines above", file=sys.stderr)
    close_triggers(triggers)
    domain.close()
    return code


def _strike(monitor: MonitorConfig, domain: Domain) -> str:
    """What would strike in the kernel: loaded for a moment, never armed, nothing kept. `domain` is told of it."""
    try:
        arms = load_apart(order_of(monitor), "", "")
    except BpfRefused as refusal:
        return f"missing: strike in the kernel: {refusal}"
    for fd in arms.fds():
        os.close(fd)
    domain.use_reclaims(memoryview(bytearray(8)).cast("Q"), 0)
    return f"strike in the kernel: {'; '.join([VARIANT_NAMES[arms.variant], *arms.notes])}"


def status(root: str) -> int:
    """Ask the daemon of this root."""
    try:
        reply = decode_reply(ask(root, encode_request(Request(Verb.STATUS))))
    except OSError as error:
        what = "not running" if not os.path.exists(os.path.join(root, "ctl")) else f"does not answer: {error.strerror}"
        print(f"lmkd-py: no daemon on {root} ({what}); start it with `lmkd-py run --root {root}`", file=sys.stderr)
        return 1
    for line in (*reply.text.splitlines(), *(f"trigger: {trigger}" for trigger in reply.triggers)):
        print(line)
    for name, value in zip(reply._fields, reply):
        if name not in ("text", "triggers"):
            print(f"{name}: {value}")
    return 0

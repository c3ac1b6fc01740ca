"""`lmkd-py check` and `lmkd-py status`: words about this machine and about the running daemon."""

from __future__ import annotations

import os
import sys

from ..core.config import ConfigError, DomainKind, MonitorConfig
from ..core.notes import Note
from ..core.vocabulary import NoteKind
from ..kernel.bpf import VARIANT_NAMES, BpfRefused, load_apart
from ..kernel.probe import probe
from ..kernel.sensing.domain import Domain, MixedMemory, choose, open_domain, resolved
from ..kernel.sensing.triggers import close_triggers, open_triggers
from ..wire.control import Verb
from ..wire.control_client import ask
from ..wire.sentences import line, sentence
from .config_file import load_config
from .inherited import EXIT_BAD_CONFIG, EXIT_DOMAIN_GONE, EXIT_KERNEL_LACKS, EXIT_NO_PERMISSION
from .sight import hidden_processes
from .steward.killers.kernel_strike import order_of


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
    auto = choose()
    monitor = resolved(config.monitor, auto)
    try:
        domain = open_domain(monitor)
    except MixedMemory as error:
        print(f"lmkd-py: {error}", file=sys.stderr)
        return EXIT_BAD_CONFIG
    except PermissionError as error:
        print(f"lmkd-py: no permission: {error}; run as root", file=sys.stderr)
        return EXIT_NO_PERMISSION
    except (OSError, ValueError) as error:
        print(f"lmkd-py: {error}", file=sys.stderr)
        return EXIT_DOMAIN_GONE
    triggers, missing = open_triggers(monitor, domain, config.policy.kind)
    strike = _strike(monitor, domain)
    print(f"domain: {domain.describe()}")
    if config.monitor.domain.kind == DomainKind.AUTO:
        print(f"domain.kind AUTO: {auto.describe()}")
    for trigger in triggers:
        print(f"trigger: {trigger.effective.words}")
    for note in missing:
        print(f"missing: {sentence(note)}")
    print(strike)
    for note in (*domain.lacks(), *hidden_processes()):
        print(f"missing: {sentence(note)}")
    for file in domain.allocating():
        print(f"missing: {sentence(Note(kind=NoteKind.SAMPLE_ALLOCATES, subject=file))}")
    code = 0 if triggers else EXIT_KERNEL_LACKS
    if code:
        print("lmkd-py: no trigger can be set up; see the lines above", file=sys.stderr)
    close_triggers(triggers)
    domain.close()
    return code


def _strike(monitor: MonitorConfig, domain: Domain) -> str:
    """What would strike in the kernel: loaded for a moment, never armed, nothing kept. `domain` is told of it."""
    try:
        attached = load_apart(order_of(monitor), "", "")
    except BpfRefused as refusal:
        return f"missing: strike in the kernel: {refusal}"
    for fd in attached.fds():
        os.close(fd)
    domain.use_reclaims(memoryview(bytearray(8)).cast("Q"), 0)
    return f"strike in the kernel: {'; '.join([VARIANT_NAMES[attached.variant], *attached.notes])}"


def status(root: str) -> int:
    """`lmkd-py status`: print the daemon's answer; the exit code."""
    try:
        reply = ask(root, Verb.STATUS)
    except OSError as error:
        is_there = os.path.exists(os.path.join(root, "ctl"))
        what = f"does not answer: {error.strerror or error}" if is_there else "not running"
        print(f"lmkd-py: no daemon on {root} ({what}); start it with `lmkd-py run --root {root}`", file=sys.stderr)
        return 1
    except ValueError as error:
        print(f"lmkd-py: what answers on {root}/ctl is no daemon of this version: {error}", file=sys.stderr)
        return 1
    if reply.text:
        print(reply.text)
    for note in reply.notes:
        print(line(note))
    for trigger in reply.triggers:
        print(f"trigger: {trigger.words}")
    for name, value in zip(reply._fields, reply):
        if name not in ("text", "triggers", "notes"):
            print(f"{name}: {value}")
    return 0

"""Ask the daemon of this machine over its control socket."""

from __future__ import annotations

from ..wire.control import Reply, Verb
from ..wire.control_client import ask
from .errors import SandboxError


def ask_daemon(root: str, verb: int = Verb.STATUS, timeout_s: float = 5.0) -> Reply:
    """One request to the daemon of a state root. SandboxError if there is none, or it does not answer."""
    try:
        return ask(root, verb, timeout_s)
    except (OSError, ValueError) as error:
        raise SandboxError(
            f"no daemon answers on {root}/ctl: {getattr(error, 'strerror', '') or error}; wanted a running one: "
            f"lmkd-py run --root {root}"
        ) from error

"""A new config with a way back: it returns by itself unless it is confirmed in time."""

from __future__ import annotations

import json
import os
import time
from typing import Any, Optional

from ...wire.control import Verb
from .daemon import ask
from .detached import detach
from .files import Failed, lock, read, sync_directory, write


def apply(root: str, nonce: str, seconds: float) -> dict[str, Any]:
    """Take staging/config.bin, with a way back: without confirm() in time the former one returns by itself."""
    config, former = os.path.join(root, "config.bin"), os.path.join(root, "config.previous")
    if not os.path.exists(os.path.join(root, "config.pending")):  # else the former one was never confirmed either
        write(former, read(config) if os.path.exists(config) else b"")
    until = time.time() + seconds
    write(os.path.join(root, "config.pending"), json.dumps({"nonce": nonce, "until": until}).encode())
    detach(lambda: _wait_and_revert(root, nonce, seconds))
    os.replace(os.path.join(root, "staging", "config.bin"), config)
    sync_directory(root)
    try:
        reply = ask(root, Verb.RELOAD)
    except FileNotFoundError:
        return {"running": False}
    except ConnectionRefusedError:  # left by a steward that was killed
        return {"running": False}
    except OSError as error:
        revert(root, nonce)
        raise Failed(f"the daemon does not answer: {error}") from None
    if not reply["ok"]:
        revert(root, nonce)
        raise Failed(f"the daemon refused it: {reply['text']}")
    return {"running": True, **ask(root, Verb.STATUS)}


def _wait_and_revert(root: str, nonce: str, seconds: float) -> None:
    time.sleep(seconds)
    lock(root)
    revert(root, nonce)


def pending(root: str) -> Optional[dict[str, Any]]:
    """The config push that waits for its confirmation."""
    try:
        found = json.loads(read(os.path.join(root, "config.pending")))
        return found if isinstance(found, dict) else {}
    except OSError:
        return None
    except ValueError:
        return {}


def confirm(root: str, nonce: str) -> dict[str, Any]:
    """Keep the config for good."""
    waiting = pending(root)
    if waiting is None or (nonce and waiting.get("nonce") != nonce):
        raise Failed("no config waits for confirmation; its time may be over, and the former one is back")
    os.unlink(os.path.join(root, "config.pending"))
    sync_directory(root)
    return {}


def revert(root: str, nonce: str) -> dict[str, Any]:
    """Put the former config back, if the push of that nonce (any, if empty) still waits."""
    waiting = pending(root)
    if waiting is None or (nonce and waiting.get("nonce") != nonce):
        return {"reverted": False}
    former = read(os.path.join(root, "config.previous"))
    config = os.path.join(root, "config.bin")
    if former:
        write(config, former)
    elif os.path.exists(config):  # there was none: the defaults
        os.unlink(config)
    os.unlink(os.path.join(root, "config.pending"))
    sync_directory(root)
    try:
        ask(root, Verb.RELOAD)
    except OSError:
        pass
    return {"reverted": True}


def settle(root: str) -> dict[str, Any]:
    """Before a start: a push whose timer was lost to a power cut goes back when its time is over."""
    waiting = pending(root)
    if waiting is not None and not time.time() < waiting.get("until", 0):
        return revert(root, "")
    return {"reverted": False}

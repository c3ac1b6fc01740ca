"""A new config with a way back: it returns by itself unless it is confirmed in time. One at a time."""

from __future__ import annotations

import os
import shutil
import time
from typing import Any

from ..core.config import Config, ConfigError
from ..wire.config import decode_config, encode_config
from ..wire.confines import inside, read_confines
from ..wire.control import Verb
from ..wire.pending import (
    CONFIG,
    FORMER,
    PENDING,
    Pending,
    boot_id,
    boottime_s,
    encode_pending,
    left_s,
    put_back,
    read_pending,
)
from ..wire.pending import settle as put_back_if_over
from .daemon import ask
from .detached import detach
from .files import Failed, lock, read, sync_directory, write

STALE_S = 86400.0
LOOK_S = 5.0  # between two looks at the clock: sleep() does not count suspended time, the deadline does
OVER = "no push is waiting for confirmation; its time may be over, and the former config is back"


def apply(root: str, nonce: str, seconds: float) -> dict[str, Any]:
    """Take staging/NONCE/config.bin, with a way back: without confirm() in time the former one returns by itself.

    Said twice, it is done once. Failed while a push of another config waits for its confirmation: that one stays
    untouched. A push of the same config joins it: the answer holds the nonce to confirm.
    """
    settle(root)
    config, staging = os.path.join(root, CONFIG), os.path.join(root, "staging", nonce)
    staged = os.path.join(staging, CONFIG)
    waiting = read_pending(root)
    if waiting is not None and waiting.nonce != nonce and _same(staged, config):
        nonce = waiting.nonce
        waiting = waiting._replace(deadline_s=max(waiting.deadline_s, boottime_s() + seconds))
        write(os.path.join(root, PENDING), encode_pending(waiting))
    elif waiting is not None and waiting.nonce != nonce:
        shutil.rmtree(staging, ignore_errors=True)
        raise Failed(
            f"another config push waits for its confirmation, {left_s(waiting):.0f} s more; nothing was changed: "
            "wait, or use lmkctl config confirm or revert, then push again"
        )
    if waiting is None:
        if not os.path.exists(staged):
            raise Failed("this push was taken back already: the daemon refused it, or somebody reverted it")
        has_former = os.path.exists(config)
        if has_former:
            write(os.path.join(root, FORMER), read(config))
        push = Pending(nonce, boot_id(), boottime_s() + seconds, int(has_former))
        write(os.path.join(root, PENDING), encode_pending(push))
        detach(lambda: _wait_and_revert(root, nonce))
    if os.path.exists(staged):
        os.replace(staged, config)
        sync_directory(root)
        _sweep(os.path.join(root, "staging"), staging)
    try:
        reply = ask(root, Verb.RELOAD)
    except FileNotFoundError:
        return {"running": False, "nonce": nonce}
    except ConnectionRefusedError:  # left by a steward that was killed
        return {"running": False, "nonce": nonce}
    except OSError as error:
        revert(root, nonce)
        raise Failed(f"the daemon does not answer: {error}") from None
    if not reply["ok"]:
        revert(root, nonce)
        raise Failed(f"the daemon refused it: {reply['text']}")
    return {"running": True, "nonce": nonce, **ask(root, Verb.STATUS)}


def _same(one: str, other: str) -> bool:
    try:
        return read(one) == read(other)
    except FileNotFoundError:
        return False


def _sweep(folder: str, ours: str) -> None:
    # Ours, and what pushes left that were cut off long ago.
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if path == ours or time.time() - os.lstat(path).st_mtime > STALE_S:
            shutil.rmtree(path, ignore_errors=True)


def _wait_and_revert(root: str, nonce: str) -> None:
    while True:
        waiting = read_pending(root)
        if waiting is None or waiting.nonce != nonce:
            return
        left = left_s(waiting)
        if left <= 0.0:
            break
        time.sleep(min(left, LOOK_S))
    lock(root)
    revert(root, nonce)


def confirm(root: str, nonce: str) -> dict[str, Any]:
    """Keep the config for good. Said twice, it is done once."""
    settle(root)
    waiting = read_pending(root)
    done = os.path.join(root, "config.confirmed")
    if waiting is None or (nonce and waiting.nonce != nonce):
        if nonce and os.path.exists(done) and read(done) == nonce.encode():
            return {}
        raise Failed(OVER)
    write(done, waiting.nonce.encode())
    os.unlink(os.path.join(root, PENDING))
    sync_directory(root)
    return {}


def revert(root: str, nonce: str) -> dict[str, Any]:
    """Put the former config back, if the push of that nonce (any, if empty) still waits."""
    waiting = read_pending(root)
    if waiting is None or (nonce and waiting.nonce != nonce):
        return {"reverted": False}
    put_back(root, waiting)
    _reload(root)
    return {"reverted": True}


def settle(root: str) -> dict[str, Any]:
    """A push whose timer was lost goes back when its time is over, or when the device has booted since."""
    reverted = put_back_if_over(root)
    if reverted:
        _reload(root)
    return {"reverted": reverted}


def stay_inside(root: str) -> None:
    """Before a start on a virtual device: whatever was pushed, its daemon guards the device's own memory.

    A config that cannot be read stays: the daemon says what is wrong with it.
    """
    confines = read_confines()
    if confines is None or not confines.has_memory:
        return
    path = os.path.join(root, CONFIG)
    try:
        found = decode_config(read(path))
    except FileNotFoundError:
        found = Config()
    except (ConfigError, OSError):
        return
    wanted = inside(found, confines)
    if wanted != found:
        write(path, encode_config(wanted))


def _reload(root: str) -> None:
    try:
        ask(root, Verb.RELOAD)
    except OSError:
        pass

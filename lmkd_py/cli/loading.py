"""How lmkctl loads its modules: what is missing is told in one line, and Ctrl-C meanwhile leaves no traceback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec

NEEDED = ("typer", "rich", "google.protobuf", "adb_shell", "cryptography", "numpy")


def missing_package() -> str:
    """The first host package that is not installed, "" if all are. Imports none of them."""
    return next((name.partition(".")[0] for name in NEEDED if not _is_there(name)), "")


def _is_there(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # nor is the package that holds it
        return False


@contextmanager
def ended_by_ctrl_c() -> Iterator[None]:
    """Ctrl-C meanwhile ends the process as the signal does, without a traceback of an import."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)

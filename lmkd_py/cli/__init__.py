"""lmkctl: the only room that speaks to people, prints and exits."""

from __future__ import annotations

import io
import os
import signal
import sys
from typing import Any


def main() -> None:
    """Entry point of `lmkctl`; says in one line what to install where the host packages are missing."""
    _open_streams()
    handler = signal.getsignal(signal.SIGINT)
    # Ctrl-C while it is loaded ends us as the signal does, without a traceback of an import; so it is with each verb.
    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from .loading import missing_package

    missing = missing_package()
    if missing:
        print(
            f"lmkctl: no Python package {missing!r}; install the host packages: "
            "pip install 'lmkd_py[host]' or run make venv",
            file=sys.stderr,
        )
        sys.exit(1)
    from .app import run

    if handler is signal.default_int_handler:
        signal.signal(signal.SIGINT, handler)
    try:
        code = run()
        if handler is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be taken back
    except KeyboardInterrupt:  # once more, while the first was answered
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
        code = 130  # where the signal is blocked
    sys.exit(code)


def _open_streams() -> None:
    """Standard streams that the caller closed lead nowhere: else the next file we open would become one of them."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
    for number, name in ((1, "stdout"), (2, "stderr")):
        former = getattr(sys, name)
        stream = io.TextIOWrapper(
            io.BufferedWriter(_Output(number, "w", closefd=False)),
            encoding=former.encoding if former else "utf-8",
            errors="backslashreplace",  # whatever the locale
            line_buffering=number == 2 or os.isatty(number),
        )
        setattr(sys, name, stream)


class _Output(io.FileIO):
    """A standard stream whose errors name it: no others without a file's name do."""

    def write(self, data: Any) -> int:
        """As FileIO has it."""
        try:
            return super().write(data)
        except OSError as error:
            raise OSError(
                error.errno, error.strerror, "standard output" if self.fileno() == 1 else "standard error"
            ) from None

"""`lmkd-py run|check|status|selftest`: starts the daemon lean, by one exec of the same interpreter, without site.

The bare interpreter saves about 4 MB in each of the two processes, and the stack stays shallow. Everything else is
in commands.py.
"""

from __future__ import annotations

import os
import sys

from . import hurry, interrupt, lean
from .environment import ENVIRONMENT, PACKAGE_PARENT

# Nobody guards while it loads: on a busy machine that took 0.6 s for 30 ms of CPU, in turn with all others.
START = (
    "import sys, _signal as s; s.getsignal(2) is s.default_int_handler and s.signal(2, s.SIG_DFL); "
    f"sys.path.insert(0, sys.argv.pop(1)); import {hurry.__name__} as hurry; hurry.hurry(); "
    f"import {lean.__name__} as lean; lean.install(); "
    "from lmkd_py.daemon.commands import main; main(sys.argv[1:])"
)


def main() -> None:
    """Entry point of the console script and of `python -m lmkd_py.daemon`."""
    interrupt.ends_us()
    words = sys.argv[1:]
    asks = "-h" in words or "--help" in words
    if words[:1] == ["run"] and sys.executable and not asks:
        bare = [sys.executable, "-I", "-S", "-E", "-X", "no_debug_ranges", "-c", START, PACKAGE_PARENT, *words]
        os.execve(sys.executable, bare, {**ENVIRONMENT, "PATH": os.environ.get("PATH", "/usr/bin:/bin")})
    from .commands import main as command

    if "run" in words and not asks:
        command(words)
    from .output import carry_out

    sys.exit(carry_out(command, words))


if __name__ == "__main__":
    main()

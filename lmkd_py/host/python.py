"""Which Python of a device the daemon is to run with."""

from __future__ import annotations

from .device import Device
from .errors import Fault
from .scripts import script

WANTED = "3.9"
PLACES = (
    "python3",
    "/data/adb/lmkd_py/runtime/bin/python3",
    "/data/local/tmp/python3",
    "/data/data/com.termux/files/usr/bin/python3",
)
_TRY = """for p in "$@"; do
q=$(command -v -- "$p") && "$q" -c 'import sys, ctypes, select; sys.exit(sys.version_info < (3, 9))' 2>/dev/null &&
{ echo "$q"; exit 0; }; done; exit 1"""


def find_python(device: Device, given: str = "") -> str:
    """Path of a Python >= 3.9 with ctypes; INCOMPATIBLE, with what to do, when there is none."""
    found = device.ask(script(_TRY, *([given] if given else PLACES)), root=True, timeout_s=60.0)
    if found.rc == 0 and found.text.startswith("/") and "\n" not in found.text:
        return found.text
    where = given or "PATH and the usual places"
    raise device.error(
        Fault.INCOMPATIBLE, f"no Python >= {WANTED} with ctypes in {where}",
        hint="put one there and name it with --python PATH",
    )  # fmt: skip

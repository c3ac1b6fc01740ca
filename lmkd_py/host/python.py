"""Which Python of a device the daemon is to run with, as root: one that nobody but root can change."""

from __future__ import annotations

from .device import Device
from .errors import Fault
from .scripts import NEEDED, script

WANTED = "3.9"
PLACES = (
    "python3",
    "/usr/bin/python3",
    "/system/bin/python3",
    "/data/adb/lmkd_py/runtime/bin/python3",
    "/data/local/tmp/python3",
    "/data/data/com.termux/files/usr/bin/python3",
)
# safe PATH: the file, every directory and every link on the way belong to root, and nobody else may write to them.
# /data/adb is where root managers keep what they run as root; /data above it is Android's system user's. In a user
# namespace whoever is outside it, root too, is shown as overflowuid ($o).
_SAFE = """o=0; read -r _ _ c </proc/self/uid_map
[ "$c" = 4294967295 ] || o=$(cat /proc/sys/kernel/overflowuid)
one() { s=$(stat -c "%u %a" "$1") && [ "$s" ] || return 1
[ "${s% *}" = 0 ] || [ "${s% *}" = "$o" ] || return 1
[ -L "$1" ] && return 0
case $s in *[2367]?|*[2367]) return 1;; esac; return 0; }
safe() { n=0; while [ $# -gt 0 ]; do
w=$1; shift; n=$((n+1)); [ $n -lt 40 ] || return 1
case $w in /*) ;; *) return 1;; esac
while :; do
one "${w:-/}" || return 1
if [ -L "$w" ]; then t=$(readlink "$w") || return 1
case $t in /*) ;; *) t=${w%/*}/$t;; esac
set -- "$t" "$@"; fi
case $w in ""|/|/data/adb) break;; esac
w=${w%/*}
done; done; }
"""
_TRY = f"""{_SAFE}trust=$1; shift; r=1; for p in "$@"; do
q=$(command -v -- "$p") && [ -f "$q" ] || continue
if [ ! "$trust" ] && ! safe "$q"; then echo "$q" >&2; r={NEEDED}; continue; fi
"$q" -c 'import sys, ctypes, select; sys.exit(sys.version_info < (3, 9))' 2>/dev/null && {{ echo "$q"; exit 0; }}
done; exit $r"""


def find_python(device: Device, given: str = "") -> str:
    """Path of a Python >= 3.9 with ctypes; INCOMPATIBLE, with what to do, when there is none.

    One that others than root can change is not run, unless it is `given`.
    """
    words = script(_TRY, *(["trust", given] if given else ["", *PLACES]))
    found = device.ask(words, root=True, timeout_s=60.0)
    if found.rc == 0 and found.text.startswith("/") and "\n" not in found.text:
        return found.text
    where = given or "PATH and the usual places"
    unsafe = found.err.decode("utf-8", "replace").split("\n")[0][:200] if found.rc == NEEDED else ""
    if unsafe:
        raise device.error(
            Fault.INCOMPATIBLE, f"no Python >= {WANTED} with ctypes that root alone can change in {where}",
            hint=f"others can change {unsafe} or a directory above it; name it with --python PATH to run it as root",
        )  # fmt: skip
    raise device.error(
        Fault.INCOMPATIBLE, f"no Python >= {WANTED} with ctypes in {where}",
        hint="put one there and name it with --python PATH",
    )  # fmt: skip

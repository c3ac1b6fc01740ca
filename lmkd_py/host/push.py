"""Put a file onto a device so that whoever reads it sees the old one or the new one, whole."""

from __future__ import annotations

import io

from .adb.sync import Sending
from .device import Device, RootKind
from .errors import DeviceError, Fault
from .hashes import digest_in, sha256
from .scripts import NEEDED, script

REGULAR = 0o100000
SPARE_KB = 1024  # left free beside what is pushed
# Where an adbd that is not root may write; root takes it from there.
SHELL_STAGING = "/data/local/tmp"

_PROBE = 'if [ -f "$1" ]; then sha256sum <"$1"; else echo none; fi; mkdir -p "$2" && df -Pk "$2" | tail -n 1'
# Another file system than the staging's: copy first, so that the rename stays one.
_TAKE = 'cp "$1" "$2" && rm -f "$1"'
_FINISH = f"""s=$(sha256sum <"$1") || exit 1
[ "${{s%% *}}" = "$3" ] || {{ rm -f "$1"; echo "sha256 there: ${{s%% *}}" >&2; exit {NEEDED}; }}
chmod "$4" "$1" || exit 1
if command -v restorecon >/dev/null; then restorecon "$1"; fi
sync "$1" && mv -f "$1" "$2" && sync "${{2%/*}}" """


def push_atomic(device: Device, data: bytes, path: str, mode: int = 0o644) -> bool:
    """Make `path` (absolute) on the device hold `data`; False when it did already.

    Staged in the same directory, its hash counted there, synced, renamed. DeviceError: NO_SPACE before anything is
    sent, VERIFY when other bytes arrived, REFUSED with the device's words.
    """
    digest = sha256(data)
    folder = path.rpartition("/")[0] or "/"
    probed = device.must(script(_PROBE, path, folder), f"looking at {path}")
    lines = probed.text.splitlines()
    if lines and digest_in(lines[0]) == digest:
        return False
    need_room(device, lines[-1] if lines else "", len(data), folder)
    new = f"{path}.new.{digest[:12]}"
    stage(device, data, new)
    finish = script(_FINISH, new, path, digest, f"{mode:o}")
    result = device.run(finish, root=True)
    if result.rc == NEEDED:
        raise device.error(
            Fault.VERIFY, f"{path}: other bytes arrived than were sent", output=result.complaint,
            hint="check cable and storage, then run it again",
        )  # fmt: skip
    if result.rc != 0:
        raise device.failed(result, f"putting {path} in place", finish)
    return True


def stage(device: Device, data: bytes, path: str) -> None:
    """Send bytes to a path that nobody reads yet."""
    if device.root_kind() == RootKind.ADBD:
        _send(device, data, path)
        return
    passing = f"{SHELL_STAGING}/.lmkctl.{sha256(path.encode())[:16]}"
    _send(device, data, passing)
    device.must(script(_TAKE, passing, path), f"taking {path} from {SHELL_STAGING}")


def _send(device: Device, data: bytes, path: str) -> None:
    try:
        device.send_files(lambda: [Sending(path, REGULAR | 0o600, io.BytesIO(data).read)])
    except DeviceError as error:
        if error.fault in (Fault.NO_SPACE, Fault.REFUSED):
            try:
                device.run(["rm", "-f", path], root=True)  # half a file helps nobody, least of all a full disk
            except DeviceError:
                pass
        raise


def need_room(device: Device, df_line: str, size: int, folder: str) -> None:
    """NO_SPACE unless the last line of `df -Pk` leaves room for so many bytes; nothing when it cannot be read."""
    fields = df_line.split()
    if len(fields) < 5 or not fields[-3].isdecimal():
        return
    free_kb = int(fields[-3])
    wanted_kb = size // 1024 + SPARE_KB
    if free_kb < wanted_kb:
        raise device.error(
            Fault.NO_SPACE, f"{folder}: {free_kb} kB free, wanted {wanted_kb}", hint="free some space on the device"
        )

"""Start, stop, restart and ask the daemon of a state root. Nobody is left without a killer by a restart."""

from __future__ import annotations

import os
import select
import signal
import socket
import time
from typing import Any

from ...wire.config import decode_config
from ...wire.control import Request, Verb, decode_reply, encode_request
from . import systemd
from .detached import detach, run_daemon
from .files import Failed, read

ARM_S = 70.0  # beyond the steward's own patience with its killer
STOP_S = 15.0
LOG_BYTES = 1 << 20  # beyond it the log starts anew, the former one is kept as log.1


def ask(root: str, verb: int) -> dict[str, Any]:
    """One request to the steward. OSError when nobody answers."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    try:
        client.settimeout(10)
        client.connect(f"/proc/self/fd/{directory}/ctl")
        client.send(encode_request(Request(verb)))
        data = client.recv(65536)
    finally:
        os.close(directory)
        client.close()
    if not data:
        raise ConnectionResetError("it hung up")
    return decode_reply(data)._asdict()


def status(root: str) -> dict[str, Any]:
    """How things stand: running, orphan (a killer without its steward), or neither."""
    try:
        return {"running": True, "orphan": 0, **ask(root, Verb.STATUS)}
    except OSError:
        return {"running": False, "orphan": orphan(root)}


def orphan(root: str) -> int:
    """Pid of a killer of this root; 0 when there is none. Believed is a line of `killers` whose process started at
    its tick and holds the daemon's memory."""
    try:
        lines = read(os.path.join(root, "killers")).split(b"\n")
    except (OSError, Failed):
        return 0
    for words in (line.split() for line in lines):
        if len(words) != 2 or not b"".join(words).isdigit():
            continue
        pid, ticks = int(words[0]), words[1]
        try:
            started = read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19]
            if started == ticks and os.readlink(f"/proc/{pid}/fd/3").startswith("/memfd:lmkd_py"):
                return pid
        except (OSError, Failed, IndexError):
            continue
    return 0


def end(pid: int, number: int, seconds: float) -> bool:
    """Signal a process and wait for its death; True once it is dead."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        signal.pidfd_send_signal(pidfd, number)
    except OSError:
        pass
    try:
        return bool(select.select([pidfd], [], [], seconds)[0])
    finally:
        os.close(pidfd)


def start(root: str, release: str, observe: bool) -> dict[str, Any]:
    """Start a daemon from a release and wait until it is armed. Failed with its own words."""
    log = os.path.join(root, "log")
    if os.path.exists(log) and os.path.getsize(log) > LOG_BYTES:
        os.replace(log, log + ".1")
    begin = os.path.getsize(log) if os.path.exists(log) else 0
    supervised = systemd.supervises(root)
    if supervised:
        systemd.systemctl("restart")
        pid = 0
    else:
        pid = detach(lambda: run_daemon(root, release, observe, log))
    until = time.monotonic() + ARM_S
    while time.monotonic() < until:
        try:
            reply = ask(root, Verb.STATUS)
            if reply["armed"] and (supervised or reply["steward_pid"] == pid):
                return reply
        except OSError:
            pass
        if not supervised and not os.path.exists(f"/proc/{pid}"):
            break
        time.sleep(0.02)
    with open(log, "rb") as file:
        file.seek(begin)
        said = file.read(65536).decode("utf-8", "replace").split("\n")
    words = [line for line in said if line.startswith("lmkd-py: ")] or [line for line in said if line.strip()]
    raise Failed(words[-1] if words else "the daemon ended, or did not arm itself, without a word")


def stop(root: str) -> dict[str, Any]:
    """End steward and killer, also a killer left alone."""
    before = status(root)
    if systemd.supervises(root):
        systemd.systemctl("stop")
    elif before["running"] and not end(before["steward_pid"], signal.SIGTERM, STOP_S):
        raise Failed(f"steward {before['steward_pid']} did not end in {STOP_S:.0f} s")
    left = orphan(root)
    if left and not end(left, signal.SIGKILL, STOP_S):
        raise Failed(f"killer {left} did not end in {STOP_S:.0f} s")
    return {"stopped": before["running"] or bool(left)}


def restart(root: str, release: str, former: str, observe: bool) -> dict[str, Any]:
    """A new pair from `release`. Until it is armed the old killer stays on guard; if it fails `former` comes back.

    `former` may be empty: then there is no way back but the killer that is still there.
    """
    running = status(root)
    observing = observe or bool(running["running"] and running["observe"] and not _config_observes(root))
    if running["running"] and not systemd.supervises(root):
        # Not SIGTERM: that would end the killer, too, and nobody would be on guard meanwhile.
        end(running["steward_pid"], signal.SIGKILL, STOP_S)
    try:
        return start(root, release, observing)
    except Failed as failure:
        if not former or not (running["running"] or running["orphan"]):
            raise
        reply = start(root, former, observing)
        return {**reply, "reverted": str(failure)}


def _config_observes(root: str) -> bool:
    try:
        return bool(decode_config(read(os.path.join(root, "config.bin"))).monitor.observe)
    except (OSError, ValueError):
        return False

"""Start, stop, restart and ask the daemon of a state root. Nobody is left without a killer by a restart."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from typing import Any, Callable

from ..wire import control_client
from ..wire.config import decode_config
from ..wire.control import Verb
from ..wire.state_file import refuse_unsafe
from . import systemd
from .detached import DAEMON, detach, run_daemon
from .files import Failed, read, read_proc

ARM_S = 70.0  # beyond the steward's own patience with its killer
UNIT_LOOK_S = 1.0  # between two looks whether systemd has given the unit up
STOP_S = 15.0
CLEAN_UP_S = 60.0  # lmkd-py stop's own patience, and more
LOG_BYTES = 1 << 20  # beyond it the log starts anew, the former one is kept as log.1


def ask(root: str, verb: int) -> dict[str, Any]:
    """What the steward replies. OSError when nobody answers."""
    reply = control_client.ask(root, verb, 10.0)
    values = {name: [each._asdict() for each in getattr(reply, name)] for name in ("triggers", "notes")}
    return {**reply._asdict(), **values}


def status(root: str) -> dict[str, Any]:
    """How things stand: running, orphan (a killer without its steward), or neither."""
    try:
        return {"running": True, "orphan": 0, **ask(root, Verb.STATUS)}
    except OSError:
        return {"running": False, "orphan": orphan(root)}
    except ValueError as error:
        raise Failed(
            f"the daemon that runs on {root} is of another release, whose replies cannot be read ({error}); "
            f"end it with lmkd-py stop --root {root}, and try again"
        ) from None


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
            started = read_proc(f"/proc/{pid}/stat").rpartition(b")")[2].split()[19]
            if started == ticks and _is_memory(os.readlink(f"/proc/{pid}/fd/3")):
                return pid
        except (OSError, Failed, IndexError):
            continue
    return 0


def _is_memory(link: str) -> bool:
    # As kernel.protection.lasting makes it: a file on a tmpfs, or a memfd.
    return os.path.basename(link).startswith(("lmkd_py-", "memfd:lmkd_py"))


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
    begin = _log_bytes(log)
    if begin > LOG_BYTES:
        os.replace(log, log + ".1")
        begin = 0
    supervised = systemd.supervises(root)
    if supervised:
        systemd.restart()
        pid = 0
    else:
        pid = detach(lambda: run_daemon(root, release, observe, log))
    began = look = time.monotonic()
    while time.monotonic() < began + ARM_S:
        try:
            reply = ask(root, Verb.STATUS)
            if (reply["armed"] or reply["waiting"]) and (supervised or reply["steward_pid"] == pid):
                return reply
        except (OSError, ValueError):  # the latter: a former release's daemon, on its way out
            pass
        if not supervised and not os.path.exists(f"/proc/{pid}"):
            break
        if supervised and time.monotonic() >= look + UNIT_LOOK_S:
            if systemd.has_failed():
                break
            look = time.monotonic()
        time.sleep(0.02)
    said = _said(log, begin)
    words = [line for line in said if line.startswith("lmkd-py: ")] or [line for line in said if line.strip()]
    raise Failed(words[-1] if words else "the daemon ended, or did not arm itself, without a word")


def _log_bytes(log: str) -> int:
    """OSError where it is no file that the daemon could write its words to: it would end without one."""
    try:
        about = os.lstat(log)
    except FileNotFoundError:
        return 0
    refuse_unsafe(about, log)
    return about.st_size


def _said(log: str, begin: int) -> list[str]:
    try:
        fd = os.open(log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.pread(fd, 65536, begin).decode("utf-8", "replace").split("\n")
    finally:
        os.close(fd)


def stop(root: str) -> dict[str, Any]:
    """End steward and killer, also a killer left alone."""
    before = status(root)
    if systemd.supervises(root):
        systemd.systemctl("stop")
    elif before["running"] and not end(before["steward_pid"], signal.SIGTERM, STOP_S):
        raise Failed(f"steward {before['steward_pid']} did not end in {STOP_S:.0f} s")
    left = orphan(root)
    _clean_up(root)
    return {"stopped": before["running"] or bool(left)}


def _clean_up(root: str) -> None:
    """The daemon's own `stop`: ends what is left, undoes what it changed in the kernel, and waits for the lock."""
    release = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    words = [sys.executable, "-B", "-m", DAEMON, "stop", "--root", root]
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": release}, cwd="/", capture_output=True, timeout=CLEAN_UP_S, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").split("\n")
        raise Failed(next((line for line in said if line.strip()), f"lmkd-py stop: exit status {done.returncode}"))


def restart(
    root: str, release: str, former: str, observe: bool, go_back: Callable[[], object] = lambda: None
) -> dict[str, Any]:
    """A new pair from `release`. Until it is armed the old killer stays on guard; if it fails `former` comes back.

    `former` may be empty: then there is no way back but the killer that is still there. go_back is called before it is
    started: a unit of systemd's starts what `current` leads to.
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
        go_back()
        reply = start(root, former, observing)
        return {**reply, "reverted": str(failure)}


def _config_observes(root: str) -> bool:
    try:
        return bool(decode_config(read(os.path.join(root, "config.bin"))).monitor.observe)
    except (OSError, ValueError):
        return False

"""`lmkd-py stop`: end the daemon of a state root, file what the dead have left, and leave the machine as it was before.

It returns when the root is free: a start right behind it finds nobody there. It is as good where both processes were
killed, and where nothing runs at all.
"""

from __future__ import annotations

import os
import sys
import time

from ..core.config import MonitorConfig
from ..kernel.acting.process import read_stat
from ..kernel.acting.syscalls import pidfd_open, pidfd_send_signal
from ..wire.control import Verb
from ..wire.control_client import ask
from ..wire.header import Header, encode_header
from ..wire.state_file import read_state_file
from . import changes
from .inherited import EXIT_BROKEN, EXIT_NO_PERMISSION, EXIT_STOPPED, say
from .lock_holder import lock_holder
from .state_root import LOCK, LOCK_BYTES, lock_root
from .steward.candidates.candidates import Candidates
from .steward.filing.journal import Journal
from .steward.filing.strike_filing import StrikeFiling
from .steward.killers.burial import Burial
from .steward.killers.keeper import Killer, find_dead, find_orphan, wait_readable
from .steward.killers.kernel_strike import KernelStrike

SIGTERM, SIGKILL = 15, 9
CLEAN_STOP_S = 15.0  # beyond it the steward is killed; what it did is undone here
FREE_S = 40.0  # for everything
LOOK_S = 0.02


def stop(root: str) -> int:
    """Carry it out; the exit code. What went wrong is on stderr."""
    if not os.path.isdir(root):
        say(f"nothing runs on {root}: there is no such directory", sys.stdout)
        return EXIT_STOPPED
    os.umask(0o077)
    try:
        lock, ended = _free(root)
    except OSError as error:
        say(f"lmkd-py: {root}: {error.strerror or error}", sys.stderr)
        return EXIT_NO_PERMISSION if isinstance(error, PermissionError) else EXIT_BROKEN
    if lock < 0:
        say(f"lmkd-py: the daemon of {root} did not end in {FREE_S:.0f} s", sys.stderr)
        return EXIT_BROKEN
    try:
        orphan = find_orphan(root)
        if orphan is not None:
            orphan.end()
        file_what_is_left(root, orphan)
        changes.take_back(root)
        _forget_socket(root)
    finally:
        os.close(lock)
    words = [f"steward {ended} ended"] if ended else []
    words += [f"killer {orphan.pid}, left alone, ended"] if orphan is not None else []
    say("; ".join(words) or f"nothing runs on {root}", sys.stdout)
    return EXIT_STOPPED


def file_what_is_left(root: str, orphan: Killer | None) -> None:
    """Records and strikes of the dead go into a trace of their own; nothing is left in the kernel."""
    candidates = Candidates(16, 8)
    journal = Journal(root, candidates)
    try:
        dead = [*([orphan] if orphan is not None else []), *find_dead(root, orphan)]
        strikes = StrikeFiling(root, journal)
        if dead or strikes.has_over():
            journal.trace.begin(encode_header(_header(journal.boot_id)))
        burial = Burial(journal, candidates)
        for killer in dead:
            burial.add(killer)
        burial.carry_out()
        strikes.find_over()
        strikes.finish(KernelStrike(MonitorConfig(), "", None, "stopped"))
        journal.close()
    finally:
        candidates.deaths.close()


def _header(boot_id: str) -> Header:
    """It speaks of no killer: those of the dead stand in former files."""
    uname = os.uname()
    return Header(
        board=uname.nodename,
        kernel=uname.release,
        machine=uname.machine,
        page_size_bytes=os.sysconf("SC_PAGE_SIZE"),
        boot_id=boot_id,
        start_monotonic_ns=time.monotonic_ns(),
        start_realtime_ns=time.time_ns(),
        clk_tck=os.sysconf("SC_CLK_TCK"),
        steward_pid=os.getpid(),
    )


def _free(root: str) -> tuple[int, int]:
    """(the root's lock, pid of the steward that was ended for it); -1: it did not become free."""
    deadline = time.monotonic() + FREE_S
    asked, kill_at = 0, 0.0
    while True:
        try:
            return lock_root(root), asked
        except BlockingIOError:
            now = time.monotonic()
        if now > deadline:
            return -1, asked
        pid = _steward(root)
        if pid and pid != asked:
            asked, kill_at = pid, now + CLEAN_STOP_S
            _signal(pid, SIGTERM)
        elif pid and now > kill_at:
            _signal(pid, SIGKILL)
        time.sleep(LOOK_S)


def _steward(root: str) -> int:
    """Who holds the lock: it says so in it; on a full disk the control socket or the kernel does. 0: nobody says."""
    try:
        words = read_state_file(os.path.join(root, LOCK), LOCK_BYTES).split()
        if len(words) == 2 and read_stat(int(words[0])).start_ticks == int(words[1]):
            return int(words[0])
    except (OSError, ValueError):
        pass
    try:
        return ask(root, Verb.STATUS, 1.0).steward_pid
    except (OSError, ValueError):
        return lock_holder((os.path.join(root, LOCK), root))


def _signal(pid: int, number: int) -> None:
    try:
        pidfd = pidfd_open(pid)
    except OSError:
        return  # it has just ended
    try:
        pidfd_send_signal(pidfd, number)
        wait_readable((pidfd,), 0.5)
    except OSError:
        pass
    finally:
        os.close(pidfd)


def _forget_socket(root: str) -> None:
    try:
        os.unlink(os.path.join(root, "ctl"))
    except OSError:
        pass

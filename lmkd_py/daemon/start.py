"""From the command line to a running pair: lock the state root, read the config, fork the killer while we are small."""

from __future__ import annotations

import fcntl
import os
import sys

from ..core.config import Config, ConfigError
from ..core.vocabulary import ABSENT
from ..kernel.reserve import Reserve
from ..kernel.resident import release_unused
from ..kernel.syscalls import eventfd, getrlimit_nofile, pidfd_open, setrlimit_nofile
from .config_file import load_config
from .inherited import EXIT_ALREADY_RUNNING, EXIT_BAD_CONFIG, EXIT_KERNEL_LACKS, EXIT_NO_MEMORY, EXIT_NO_PERMISSION, say
from .protect import protect, undo
from .shortage import is_shortage
from .steward.backstop import load
from .steward.keeper import KillerFailed, find_orphan, fork_killer

MAX_ROWS = 8192  # candidates at most; 42 bytes each in the killer's tables
FDS_OF_OUR_OWN = 256


class StartFailed(Exception):
    """Why the daemon cannot start, in one line, and its exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def start(root: str, observe: bool, required_layer: int = ABSENT) -> int:
    """Run the daemon on this root until it is told to stop; its exit code. Raises StartFailed.

    required_layer: it does not start unless this layer of the memory guarantee and those below it are active.
    """
    lock = _lock(root)
    try:
        config = load_config(root, observe)
    except ConfigError as error:
        raise StartFailed(EXIT_BAD_CONFIG, f"{root}/config.bin: {error}") from None
    except OSError as error:
        raise StartFailed(_code_of(error), f"{root}/config.bin: {error.strerror}") from None
    _need_pidfd()
    # A steward that was killed could not undo what it told the kernel; whoever comes after it does.
    mark = os.path.join(root, "told-compaction")
    # Before the pool is taken and the killer forked: what they lock is charged where we are then. The killer inherits
    # all of it, and reports what was refused.
    told = protect([], (os.getpid(),))
    if told.compaction:
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
    try:
        code = _guard(root, config, observe, required_layer)
    finally:
        undo(told, os.path.exists(mark))
        if os.path.exists(mark):
            os.unlink(mark)
    os.close(lock)
    return code


def _guard(root: str, config: Config, observe: bool, required_layer: int) -> int:
    rows = _rows(config)
    notify_fd = eventfd()
    orphan = find_orphan(root)
    never = (os.getpid(), os.getppid())
    reserve = Reserve(config.monitor.reserve_kb)
    backstop = load(root, config.monitor, 1)
    try:
        killer = fork_killer(root, config, 1, rows, never, notify_fd, backstop, required_layer, reserve)
    except KillerFailed as failure:
        backstop.stand_down()
        raise StartFailed(failure.code, str(failure)) from None
    # The steward's own code is loaded only now: the killer was forked without it.
    from .steward.service import Service
    from .steward.signals import signal_pipe

    signal_fd = signal_pipe()
    ready = False
    try:
        service = Service(root, config, observe, rows, killer, notify_fd, backstop, reserve)
        service.begin(orphan)
        ready = True
    except (OSError, MemoryError) as error:
        raise _root_unfit(root, error) from None
    finally:
        if not ready:
            killer.end()  # a killer in stand-by is of use to nobody
            backstop.stand_down()
    for line in service.killer.text():
        say(line, sys.stdout)
    candidates, trace = len(service.registry.processes), service.journal.trace.path
    say(f"armed: killer {service.killer.pid}, {candidates} candidates, trace {trace}", sys.stdout)
    service.required_layer = required_layer
    try:
        release_unused()
    except (OSError, MemoryError):
        pass  # only a saving
    code = service.serve(signal_fd)
    if service.complaint:
        raise StartFailed(code, service.complaint)
    return code


def _lock(root: str) -> int:
    try:
        os.makedirs(root, mode=0o700, exist_ok=True)
        lock = os.open(os.path.join(root, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _root_unfit(root, error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise StartFailed(
            EXIT_ALREADY_RUNNING, f"another lmkd-py runs on {root}; `lmkd-py status --root {root}`"
        ) from None
    return lock


def _code_of(error: OSError) -> int:
    if is_shortage(error):
        return EXIT_NO_MEMORY
    return EXIT_NO_PERMISSION if isinstance(error, PermissionError) else EXIT_BAD_CONFIG


def _root_unfit(root: str, error: OSError | MemoryError) -> StartFailed:
    if isinstance(error, MemoryError) or is_shortage(error):
        return StartFailed(EXIT_NO_MEMORY, "no memory to start with")
    where = f"{error.filename}: " if isinstance(error.filename, str) and error.filename != root else ""
    return StartFailed(_code_of(error), f"state root {root}: {where}{error.strerror}; choose another with --root DIR")


def _need_pidfd() -> None:
    try:
        os.close(pidfd_open(os.getpid()))
    except OSError as error:
        raise StartFailed(
            EXIT_KERNEL_LACKS, f"kernel without pidfd ({error.strerror}); Linux 5.3 or newer is needed"
        ) from None


def _rows(config: Config) -> int:
    """Candidates there is room for under RLIMIT_NOFILE.

    Each takes a pidfd in both processes, and the steward holds a duplicate until the killer has it; a sized one takes
    two more, in the steward until they are passed on.
    """
    soft, hard = getrlimit_nofile()
    if soft < hard:
        setrlimit_nofile(hard, hard)
    free, sized = hard - FDS_OF_OUR_OWN, config.monitor.sized_candidates
    return max(16, min(MAX_ROWS, max(min(free // 4, sized), (free - 2 * sized) // 2)))

"""From the command line to a running pair: lock the state root, read the config, fork the killer while we are small."""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING, Optional

from ..core.config import Config, ConfigError, DomainKind
from ..core.notes import Note
from ..core.vocabulary import ABSENT, NoteKind
from ..kernel.acting.syscalls import eventfd, getrlimit_nofile, pidfd_open, setrlimit_nofile
from ..kernel.protection.reserve import Reserve
from ..kernel.protection.resident import release_unused
from ..kernel.sensing.domain import DomainChoice, MixedMemory, choose, open_domain, resolved
from ..wire.pending import settle
from .config_file import load_config
from .hurry import hurry
from .inherited import (
    EXIT_ALREADY_RUNNING,
    EXIT_BAD_CONFIG,
    EXIT_BROKEN,
    EXIT_DOMAIN_GONE,
    EXIT_KERNEL_LACKS,
    EXIT_NO_MEMORY,
    EXIT_NO_PERMISSION,
    EXIT_STOPPED,
    reason_of,
    say,
)
from .protect import protect, undo
from .shortage import is_shortage
from .state_root import lock_root, make_root
from .steward.killers.keeper import KillerFailed, find_dead, find_orphan, fork_killer
from .steward.killers.kernel_strike import load_kernel_strike

if TYPE_CHECKING:
    from .steward.clients.control import ControlServer

MAX_ROWS = 8192  # candidates at most; 42 bytes each in the killer's tables
FDS_OF_OUR_OWN = 256
# A full, failing or not yet writable disk; a machine out of descriptors or processes; something that is in use.
_PASSING = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.EBUSY,
    errno.EINTR, errno.ESTALE, errno.ENODEV, errno.ETIMEDOUT,
)  # fmt: skip


class _Life:
    """What outlives one round of guarding: the domain may be removed and made again in between."""

    def __init__(self, root: str, config: Config, observe: bool, required_layer: int, auto: DomainChoice) -> None:
        self.auto = auto  # what domain.kind AUTO stands for, from where we were started
        self.root = root
        self.config = config
        self.observe = observe
        self.required_layer = required_layer
        self.why = ""  # a killer just said so, whatever a look would say
        self.waited_ms = ABSENT
        self.reverted = False  # the config is the former one: nobody confirmed the one that was pushed
        self.signal_fd = -1
        self.control: Optional[ControlServer] = None


class StartFailed(Exception):
    """Why the daemon cannot start, in one line, and its exit code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def start(root: str, observe: bool, required_layer: int = ABSENT) -> int:
    """Run the daemon on this root until it is told to stop; its exit code. Raises StartFailed.

    required_layer: it does not start unless this layer of the memory guarantee and those below it are active.
    """
    os.umask(0o077)  # a shell on Android has none
    lock = _lock(root)
    hurry()  # until a killer is live
    reverted = False
    try:
        reverted = settle(root)
        if reverted:
            say("the former config.bin is back: nobody confirmed the pushed one in its time", sys.stdout)
    except OSError as error:
        say(f"config.pending: {error.strerror}; the pushed config stays", sys.stderr)
    try:
        config = load_config(root, observe)
    except ConfigError as error:
        raise StartFailed(EXIT_BAD_CONFIG, f"{root}/config.bin: {error}") from None
    except OSError as error:
        raise StartFailed(_code_of(error), f"{root}/config.bin: {error.strerror}") from None
    _need_pidfd()
    auto = choose()  # before we leave the cgroup in which we were started
    # Before the pool is taken and the killer forked: what they lock is charged where we are then. The killer inherits
    # all of it, and reports what was refused.
    left = protect([], (os.getpid(),), root)
    life = _Life(root, config, observe, required_layer, auto)
    life.reverted = reverted
    try:
        code = _live(life)
    finally:
        undo(left, root)
    os.close(lock)
    return code


def _live(life: _Life) -> int:
    """Guard, wait for what is to be guarded, guard again, until told to stop."""
    try:
        while True:
            why = life.why or missing(life.config, life.auto)
            if why and not _wait(life, why):
                return EXIT_STOPPED
            code = _guard(life)
            if code != EXIT_DOMAIN_GONE:
                return code
    finally:
        if life.control is not None:
            life.control.close()


def missing(config: Config, auto: DomainChoice) -> str:
    """What of the configured cgroup is not there; "" also where anything else is wrong, which the killer will say."""
    monitor = resolved(config.monitor, auto)
    try:
        open_domain(monitor).close()
    except MixedMemory as error:
        raise StartFailed(EXIT_BAD_CONFIG, str(error)) from None
    except OSError as error:
        is_missing = monitor.domain.kind != DomainKind.SYSTEM and error.errno in (errno.ENOENT, errno.ENODEV)
        return reason_of(error) if is_missing else ""
    except ValueError:
        return ""
    return ""


def _wait(life: _Life, why: str) -> bool:
    # False: told to stop. Its code is loaded by those who need it.
    from .steward.signals import signal_pipe
    from .steward.waiting import Waiting

    if life.signal_fd < 0:
        life.signal_fd = signal_pipe()

    def look(config: Config) -> str:
        try:
            return missing(config, life.auto)
        except StartFailed as failure:  # a new configuration's: it is refused as long as that lasts
            return str(failure)

    try:
        waiting = Waiting(life.root, life.config, life.observe, life.control, look, why)
    except (OSError, MemoryError) as error:
        raise _root_unfit(life.root, error) from None
    life.control, life.why = waiting.control, ""
    go_on = waiting.wait(life.signal_fd)
    life.config, life.waited_ms = waiting.config, max(life.waited_ms, 0) + waiting.waited_ms()
    return go_on


def _guard(life: _Life) -> int:
    root, config = life.root, life.config
    guarded = config._replace(monitor=resolved(config.monitor, life.auto))
    rows = _rows(config)
    notify_fd = eventfd()
    orphan = find_orphan(root)
    dead = find_dead(root, orphan)
    never = (os.getpid(), os.getppid())
    reserve = Reserve(config.monitor.guarantee.reserve_kb)
    kernel_strike = load_kernel_strike(root, guarded.monitor, 1)
    try:
        killer = fork_killer(root, guarded, 1, rows, never, notify_fd, kernel_strike, life.required_layer, reserve)
    except KillerFailed as failure:
        kernel_strike.stand_down()
        if failure.code != EXIT_DOMAIN_GONE:
            raise StartFailed(failure.code, str(failure)) from None
        for each in (*dead, orphan):
            if each is not None:
                each.close(forget=False)  # found again, when there is a trace to file it in
        reserve.close()
        os.close(notify_fd)
        life.why = str(failure)
        return EXIT_DOMAIN_GONE
    except OSError as error:  # descriptors or processes ran out
        kernel_strike.stand_down()
        raise StartFailed(_code_of(error), f"no killer: {reason_of(error)}") from None
    # The steward's own code is loaded only now: the killer was forked without it.
    from ..wire.sentences import line
    from .steward.ending import let_go
    from .steward.signals import signal_pipe
    from .steward.steward import Steward

    if life.signal_fd < 0:
        life.signal_fd = signal_pipe()
    ready = False
    try:
        steward = Steward(
            root, config, life.observe, rows, killer, notify_fd, kernel_strike, reserve, life.control, life.auto
        )
        steward.begin(orphan, dead)
        ready = True
    except KillerFailed as failure:  # the orphan guards on, until we are started again
        raise StartFailed(failure.code, str(failure)) from None
    except (OSError, MemoryError) as error:
        raise _root_unfit(root, error) from None
    finally:
        if not ready:
            killer.end()  # a killer in stand-by is of use to nobody, and it has recorded nothing
            killer.close()
            kernel_strike.stand_down()
    life.control = steward.control
    if life.waited_ms != ABSENT:
        path = guarded.monitor.domain.path
        steward.journal.add(Note(kind=NoteKind.DOMAIN_BACK, number=life.waited_ms, subject=path))
        life.waited_ms = ABSENT
    if life.reverted:
        life.reverted = False
        digest = steward.journal.config_hash
        steward.journal.add(Note(kind=NoteKind.CONFIG_REVERTED, number=steward.generation, subject=digest))
    report = steward.killer.report
    said = (*report.notes, *steward.notes())
    for text in (f"domain {report.domain}", *(f"trigger {each.words}" for each in report.triggers), *map(line, said)):
        say(text, sys.stdout)
    say(steward.events.note, sys.stdout)
    candidates, trace = len(steward.candidates.processes), steward.journal.trace
    filed = f"not filed: {trace.refusal}" if trace.refusal else trace.path
    say(f"armed: killer {steward.killer.pid}, {candidates} candidates, trace {filed}", sys.stdout)
    steward.required_layer = life.required_layer
    try:
        release_unused()
    except (OSError, MemoryError):
        pass  # only a saving
    code = steward.serve(life.signal_fd)
    if code == EXIT_DOMAIN_GONE:
        life.config, life.waited_ms = steward.config, 0
        let_go(steward)
    return code


def _lock(root: str) -> int:
    try:
        make_root(root)
        return lock_root(root)
    except BlockingIOError:
        raise StartFailed(
            EXIT_ALREADY_RUNNING, f"another lmkd-py runs on {root}; `lmkd-py status --root {root}`"
        ) from None
    except OSError as error:
        raise _root_unfit(root, error) from None


def _code_of(error: OSError) -> int:
    if is_shortage(error):
        return EXIT_NO_MEMORY
    if isinstance(error, PermissionError):
        return EXIT_NO_PERMISSION
    # Units restart nothing on a bad configuration: what may pass by itself must not look like one.
    return EXIT_BROKEN if error.errno in _PASSING else EXIT_BAD_CONFIG


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

    Each takes a pidfd in both processes and its oom_score_adj in the killer; the steward holds duplicates until the
    killer has them. A sized one takes its statm, too.
    """
    soft, hard = getrlimit_nofile()
    if soft < hard:
        setrlimit_nofile(hard, hard)
    free, sized = hard - FDS_OF_OUR_OWN, config.monitor.discovery.sized_candidates
    return max(16, min(MAX_ROWS, max(min(free // 4, sized), (free - 2 * sized) // 2)))

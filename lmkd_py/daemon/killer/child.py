"""From fork to armed: shed what was inherited, open what is needed, rehearse, lock, then run the loop.

Runs in the forked child only and ends by os._exit. A failure leaves its words in the control page and its exit code
in the control words; the steward speaks for it.
"""

from __future__ import annotations

import _signal as signal  # type: ignore[import-not-found]
import _socket as socket
import fcntl
import gc
import os
import sys
from errno import EACCES, EPERM
from typing import Callable

from ...core.config import Config, MonitorConfig
from ...core.vocabulary import ABSENT, ADJ_MAX
from ...kernel import memory, syscalls
from ...kernel.bpf import KillerGuard
from ...kernel.domain import open_domain
from ...kernel.memalloc import DEVICE, open_window
from ...kernel.own_cgroup import leave_rt_quota, take_rt_quota
from ...kernel.resident import make_resident
from ...kernel.triggers import StallMeter, Trigger, bpf_kick, open_triggers
from .. import shared as layout
from ..inherited import (
    EXIT_BROKEN,
    EXIT_DOMAIN_GONE,
    EXIT_KERNEL_LACKS,
    EXIT_NO_PERMISSION,
    FIRST_FREE_FD,
    KICK_FD,
    NOTIFY_FD,
    SHARED_FD,
    SOCKET_FD,
    Inherited,
)
from ..protect import protect
from ..shared import Shared
from .evaluate import Evaluator
from .framestack import SPARE_WANTED_BYTES, FrameStack
from .inbox import Inbox
from .loop import LAYER_WINDOW, Loop
from .reaper import Reapers
from .rehearse import rehearse
from .ring import Ring
from .roster import Roster
from .strike import Striker
from .victim import Awaited

HEAP_RESERVE_BYTES = 512 << 10  # blocks above 512 bytes (ancillary data, long lists) churn in here
POOL_BYTES, SMALL_OBJECT_BYTES = 16 << 10, 512  # CPython's; pools were 4 KiB before 3.10
BYTES_OVERHEAD = sys.getsizeof(b"")
LAYER_KILL_PATH, LAYER_RESIDENT, LAYER_STRIKE = 1 << 0, 1 << 1, 1 << 3


def killer_main(inherited: Inherited) -> None:
    """The child's whole life; never returns."""
    code = EXIT_KERNEL_LACKS
    shared = None
    try:
        _shed(inherited.fds)
        shared = Shared(SHARED_FD)
        code = _arm_and_run(shared, inherited)
    except PermissionError as error:
        code = EXIT_NO_PERMISSION
        _say(shared, f"no permission: {_words(error)}; run as root")
    except FileNotFoundError as error:
        code = EXIT_DOMAIN_GONE
        _say(shared, _words(error))
    except OSError as error:
        _say(shared, _words(error))
    except BaseException as error:
        code = EXIT_BROKEN
        _say(shared, f"the killer broke: {type(error).__name__}: {error}")
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        if shared is not None:
            shared.words[layout.EXIT_CODE] = code
            if code:
                shared.words[layout.STATE] = layout.FAILED
            os.write(NOTIFY_FD, b"\1\0\0\0\0\0\0\0")
        os._exit(code)


def _words(error: OSError) -> str:
    return f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error)


def _say(shared: Shared | None, text: str) -> None:
    if shared is not None:
        shared.write_text(text)


def _shed(fds: tuple[int, ...]) -> None:
    """Handlers, session and descriptors of the steward are not ours (its sockets must die with it)."""
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.setsid()
    # First away from the numbers they are to have, then there: none may fall on one that is still to be moved.
    above = max(FIRST_FREE_FD, *fds) + len(fds)
    away = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, above) for fd in fds]
    for target, fd in enumerate(away, SHARED_FD):
        os.dup2(fd, target, inheritable=False)
    syscalls.close_range(SHARED_FD + len(fds), 0x7FFFFFFF)
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)


def _arm_and_run(shared: Shared, inherited: Inherited) -> int:
    config, words = inherited.config, shared.words
    _keep_heap()
    domain = open_domain(config.monitor)
    triggers, missing = open_triggers(config.monitor, domain)
    if not triggers:
        return _without_triggers(shared, "; ".join(missing))
    kick, strikes = _backstop(inherited)
    triggers += kick
    roster = Roster(inherited.rows)
    inbox = Inbox(shared, socket.socket(fileno=SOCKET_FD), roster, config.policy, inherited.generation)
    reapers = Reapers()
    awaited = Awaited(shared, reapers)
    never = (*inherited.never, os.getpid())
    striker = Striker(roster, never, bool(config.monitor.observe))
    meter = _meter(config, triggers)
    evaluator = Evaluator(domain, inbox, striker, awaited, Ring(shared, NOTIFY_FD), meter)
    evaluator.killer_pid = os.getpid()
    loop = Loop(shared, evaluator, triggers, KICK_FD)
    notes = list(inherited.notes)

    def prepare() -> None:
        if config.monitor.rt_priority:
            syscalls.sched_setscheduler(os.SCHED_FIFO, config.monitor.rt_priority)

    _presize_fd_table(inherited.rows)
    layers = LAYER_KILL_PATH | inherited.layers | _first_in_line(config, notes, prepare)
    layers |= strikes
    notes += inherited.arms.notes if inherited.arms else (f"no strike in the kernel: {inherited.strikes_refused}",)
    _open_window(loop, notes)
    reapers.start(prepare if layers & LAYER_RESIDENT else lambda: None)
    evaluator.layers = layers
    frames = FrameStack()
    frames.paint()
    rehearse(loop)
    layers |= LAYER_WINDOW if loop.window is not None else 0
    layers = _spare_frames(frames.spare_bytes(), layers, notes)
    pools = _touch_pools()
    gc.collect()
    gc.freeze()
    gc.disable()
    memory.populate(shared.map)
    layers = _lock(layers, notes) if config.monitor.lock_memory else _unlocked(layers, notes)
    evaluator.layers = words[layout.LAYERS] = layers
    lines = [f"trigger {_settings(trigger)}" for trigger in triggers]
    if meter is not None:
        evaluator.meter_index = len(triggers)
        lines.append(f"trigger psi total: {_meter_settings(config.monitor)}")
    lines += [f"missing {reason}" for reason in missing]
    lines += [f"note {note}" for note in notes]
    shared.write_text("\n".join([f"domain {domain.describe()}", *lines]))
    words[layout.STATE] = layout.ARMED
    os.write(NOTIFY_FD, b"\1\0\0\0\0\0\0\0")
    code = loop.run()
    del pools
    return code


def _backstop(inherited: Inherited) -> tuple[list[Trigger], int]:
    """The kick as a trigger, and whether it has a strike behind it."""
    arms = inherited.arms
    if arms is None:
        return [], 0
    monitor = inherited.config.monitor
    strikes = LAYER_STRIKE if not monitor.observe and monitor.strike_min_adj <= ADJ_MAX else 0
    return [bpf_kick.trigger(KillerGuard(arms.moved(FIRST_FREE_FD)), monitor)], strikes


def _without_triggers(shared: Shared, missing: str) -> int:
    # The reasons are words by now. A trigger refused for want of rights is there for whoever has them.
    if os.strerror(EACCES) in missing or os.strerror(EPERM) in missing:
        shared.write_text(f"no permission: no trigger can be set up: {missing}; run as root")
        return EXIT_NO_PERMISSION
    shared.write_text(f"no trigger can be set up: {missing or 'the configuration switches all of them off'}")
    return EXIT_KERNEL_LACKS


def _keep_heap() -> None:
    # What Python frees stays ours: no trimming, no mmap for large blocks, one arena for all threads.
    memory.mallopt(memory.M_TRIM_THRESHOLD, -1)
    memory.mallopt(memory.M_MMAP_MAX, 0)
    memory.mallopt(memory.M_ARENA_MAX, 1)
    memory.pregrow_heap(HEAP_RESERVE_BYTES)


def _touch_pools() -> list[object]:
    # Python's small objects lie in pools, one size each, whose pages are touched as they fill; what is locked on fault
    # still faults then. So every size fills a whole pool once. One object of each is kept, or pools could be unmapped.
    numbers = list(range(1 << 20, (1 << 20) + POOL_BYTES // 32))
    kept: list[object] = [numbers[-1]]
    for size in range(48, SMALL_OBJECT_BYTES + 1, 16):
        blocks = [bytes(size - BYTES_OVERHEAD) for _ in range(POOL_BYTES // size)]
        kept.append(blocks[-1])
    return kept


def _meter_settings(monitor: MonitorConfig) -> str:
    """How the totals are metered, for the header."""
    some, full, window = monitor.psi_some_stall_ms, monitor.psi_full_stall_ms, monitor.psi_window_ms
    return f"read at 10 Hz for 1 s after vmpressure low, some {some} ms or full {full} ms in {window} ms"


def _settings(trigger: Trigger) -> str:
    """`name: how it is set up`; the name alone where there is nothing to set."""
    rest = trigger.effective[len(trigger.name) :] if trigger.effective.startswith(trigger.name) else trigger.effective
    rest = rest.strip(" ,")
    return f"{trigger.name}: {rest}" if rest else trigger.name


def _meter(config: Config, triggers: list[Trigger]) -> StallMeter | None:
    if not any(trigger.stretched for trigger in triggers):
        return None
    monitor = config.monitor
    return StallMeter(monitor.psi_window_ms, monitor.psi_some_stall_ms, monitor.psi_full_stall_ms)


def _presize_fd_table(rows: int) -> None:
    # The table grows by doubling when a descriptor is received; let it grow now.
    try:
        top = os.dup2(0, min(os.sysconf("SC_OPEN_MAX") - 1, rows + 1024), inheritable=False)
    except OSError:
        return
    os.close(top)


def _first_in_line(config: Config, notes: list[str], prepare: Callable[[], None]) -> int:
    protect(notes)
    priority = config.monitor.rt_priority
    if not priority:
        notes.append("rt_priority 0: not first in line")
        return 0
    quota = take_rt_quota()
    try:
        prepare()
    except OSError:
        leave_rt_quota()
        quota = f"own cpu cgroup given up: SCHED_FIFO {priority} is refused in it"
        try:
            prepare()
        except OSError as error:
            notes.append(f"SCHED_FIFO {priority} refused: {error.strerror}")
            return 0
    if quota:
        notes.append(quota)
    return LAYER_RESIDENT


def _open_window(loop: Loop, notes: list[str]) -> None:
    try:
        loop.window = open_window()
    except FileNotFoundError:
        notes.append(f"no PF_MEMALLOC window: no {DEVICE}; the module of device/module is not loaded")
    except OSError as error:
        notes.append(f"no PF_MEMALLOC window: {_words(error)}")


def _spare_frames(spare: int, layers: int, notes: list[str]) -> int:
    if spare == ABSENT:
        return layers
    notes.append(f"frame stack: {spare} bytes to spare")
    if spare >= SPARE_WANTED_BYTES:
        return layers
    notes[-1] += f", wanted {SPARE_WANTED_BYTES}: a call on the kill path may map memory"
    return layers & ~LAYER_KILL_PATH


def _unlocked(layers: int, notes: list[str]) -> int:
    notes.append("lock_memory 0: memory may be taken from us")
    return layers & ~LAYER_RESIDENT


def _lock(layers: int, notes: list[str]) -> int:
    try:
        make_resident()
    except OSError as error:
        notes.append(f"mlockall refused: {error.strerror}")
        return layers & ~LAYER_RESIDENT
    return layers

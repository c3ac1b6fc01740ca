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
from errno import EACCES, ENODEV, ENOENT, EPERM
from time import monotonic_ns

from ...core.config import DomainKind, MonitorConfig, TriggerConfig
from ...core.notes import ArmedTrigger, Note
from ...kernel.acting import memory, syscalls
from ...kernel.sensing.domain import Domain, open_domain
from ...kernel.sensing.triggers import StallMeter, Trigger, open_triggers
from ...wire.report import Report
from .. import shared as layout
from ..inherited import (
    EXIT_BROKEN,
    EXIT_DOMAIN_GONE,
    EXIT_KERNEL_LACKS,
    EXIT_NO_MEMORY,
    EXIT_NO_PERMISSION,
    FIRST_FREE_FD,
    KICK_FD,
    NOTIFY_FD,
    SHARED_FD,
    SOCKET_FD,
    Inherited,
    reason_of,
)
from ..shared import Shared
from ..shortage import is_shortage
from ..slow_closers import give_copies
from .evaluate import Evaluator
from .framestack import FrameStack
from .inbox import Inbox
from .layers import RESIDENT, LayerSetup
from .loop import Loop
from .reaper import Reapers
from .rehearse import rehearse
from .ring import Ring
from .roster import Roster
from .strike import Striker
from .victim import Awaited
from .warm import WarmTick, serves

HEAP_RESERVE_BYTES = 512 << 10  # blocks above 512 bytes (ancillary data, long lists) churn in here
POOL_BYTES, SMALL_OBJECT_BYTES = 16 << 10, 512  # CPython's; pools were 4 KiB before 3.10
BYTES_OVERHEAD = sys.getsizeof(b"")


def killer_main(inherited: Inherited) -> None:
    """The killer process from fork to exit; never returns."""
    code = EXIT_BROKEN
    shared = None
    try:
        _shed(inherited.fds)
        shared = Shared(SHARED_FD)
        code = _arm_and_run(shared, inherited)
    except PermissionError as error:
        code = EXIT_NO_PERMISSION
        _say(shared, f"no permission: {reason_of(error)}; run as root")
    except OSError as error:
        code = _code_of(error, inherited.config.monitor)
        _say(shared, reason_of(error))
    except MemoryError:
        code = EXIT_NO_MEMORY
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


def _code_of(error: OSError, monitor: MonitorConfig) -> int:
    # What is missing of the whole system is missing in the kernel. All else may be over at the next try.
    if is_shortage(error):
        return EXIT_NO_MEMORY
    if error.errno in (ENOENT, ENODEV):
        names_one = monitor.domain.kind in (DomainKind.MEMCG_V1, DomainKind.CGROUP_V2)
        return EXIT_DOMAIN_GONE if names_one else EXIT_KERNEL_LACKS
    return EXIT_BROKEN


def _say(shared: Shared | None, text: str) -> None:
    if shared is not None:
        shared.write_report(Report(failure=text))


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
    words[layout.KILLER_PID] = os.getpid()
    layers = LayerSetup(inherited)
    layers.get_in_line()
    _keep_heap()
    domain = open_domain(config.monitor)
    armed_ms, totals = monotonic_ns() // 1_000_000, domain.stall_totals()
    triggers, missing = open_triggers(config.monitor, domain, config.policy.kind)
    if not triggers:
        return _without_triggers(shared, missing)
    triggers += layers.kick(domain)
    layers.sample(domain)
    roster = Roster(inherited.rows)
    inbox = Inbox(shared, socket.socket(fileno=SOCKET_FD), roster, config.policy, inherited.generation)
    reapers = Reapers()
    awaited = Awaited(shared, reapers)
    never = (*inherited.never, os.getpid())
    striker = Striker(roster, never, bool(config.monitor.observe))
    meter = _meter(config.monitor.triggers, domain, triggers)
    if meter is not None:
        meter.begin(armed_ms, *totals)
    ring = Ring(shared, NOTIFY_FD, config.monitor.trace.every, config.monitor.page_out_pct > 0)
    evaluator = Evaluator(domain, inbox, striker, awaited, ring, meter)
    evaluator.killer_pid = os.getpid()
    loop = Loop(shared, evaluator, triggers, KICK_FD)
    if serves(config.monitor, domain):
        guarantee = config.monitor.guarantee
        loop.warm = WarmTick(evaluator, guarantee.warm_ms, guarantee.warm_cpu_pct)
    _presize_fd_table(inherited.rows)
    layers.open_window(loop)
    reapers.start(layers.hurry if layers.active & RESIDENT else lambda: None)
    evaluator.layers = layers.active
    frames = FrameStack()
    frames.paint()
    rehearse(loop)
    layers.keep_window(loop)
    layers.spare_frames(frames.spare_bytes())
    pools = _touch_pools()
    gc.collect()
    gc.freeze()
    gc.disable()
    memory.populate(shared.map)
    layers.lock()
    evaluator.layers = words[layout.LAYERS] = layers.active
    words[layout.PROGRESS_SOURCE] = domain.progress_source
    effective = [trigger.effective for trigger in triggers]
    if meter is not None:
        evaluator.meter_index = len(triggers)
        effective.append(ArmedTrigger("psi total", _meter_settings(config.monitor.triggers, triggers)))
    notes = (*missing, *domain.lacks(), *layers.notes)
    shared.write_report(Report(domain.describe(), tuple(effective), notes))
    give_copies(inbox.sock, [trigger.fd for trigger in triggers if trigger.stall_us])
    words[layout.STATE] = layout.ARMED
    os.write(NOTIFY_FD, b"\1\0\0\0\0\0\0\0")
    code = loop.run()
    del pools
    return code


def _without_triggers(shared: Shared, missing: list[Note]) -> int:
    from ...wire.sentences import sentence  # only who fails needs words

    why = "; ".join(sentence(note) for note in missing) or "the configuration switches all of them off"
    # A trigger refused for want of rights is there for whoever has them.
    if any(note.errno in (EACCES, EPERM) for note in missing):
        _say(shared, f"no permission: no trigger can be set up: {why}; run as root")
        return EXIT_NO_PERMISSION
    _say(shared, f"no trigger can be set up: {why}")
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


def _meter_settings(wanted: TriggerConfig, triggers: list[Trigger]) -> str:
    """How the totals are metered, for the header."""
    some, full, window = wanted.psi_some_stall_ms, wanted.psi_full_stall_ms, wanted.psi_window_ms
    psi = [trigger for trigger in triggers if trigger.stall_us]
    low = "vmpressure low and " if not psi or any(trigger.stretched for trigger in psi) else ""
    after = f"after {low}an event the totals do not bear out"
    return f"read at 10 Hz for 1 s {after}, some {some} ms or full {full} ms in {window} ms"


def _meter(wanted: TriggerConfig, domain: Domain, triggers: list[Trigger]) -> StallMeter | None:
    if not domain.psi_memory_path:
        return None
    span_ms = max((trigger.window_ms for trigger in triggers), default=0)
    return StallMeter(wanted.psi_window_ms, wanted.psi_some_stall_ms, wanted.psi_full_stall_ms, span_ms)


def _presize_fd_table(rows: int) -> None:
    # The table grows by doubling when a descriptor is received; let it grow now.
    try:
        top = os.dup2(0, min(os.sysconf("SC_OPEN_MAX") - 1, rows + 1024), inheritable=False)
    except OSError as error:
        if is_shortage(error):
            raise
        return
    os.close(top)

"""A trace instance of our own: its buffers, events and filters are nobody else's, and it goes when we go.

The directory outlives a process that is killed, so each new observer removes the instances of dead ones first.
(perf_event_open would clean up by itself, but here its records of wake-ups by an idle CPU's timer went missing
without being counted as lost; a tracefs instance had them all.)
"""

from __future__ import annotations

import itertools
import os
import re
import time

from tools.observer.ring import Ring
from tools.observer.tracefs import tracefs

PREFIX = "lmkd_observer"
_numbers = itertools.count()


class Instance:
    """tracefs/instances/lmkd_observer_PID_N, stopped until start()."""

    def __init__(self, kib: int) -> None:
        """kib: buffer for each CPU. OSError: no tracefs, or not root."""
        self._home = os.path.join(tracefs(), "instances")
        sweep(self._home)
        self.directory = os.path.join(self._home, f"{PREFIX}_{os.getpid()}_{next(_numbers)}")
        self.rings: list[Ring] = []
        os.mkdir(self.directory)
        try:
            self.write("tracing_on", "0")
            self.write("trace_clock", "mono")
            self.write("options/overwrite", "0")  # a full buffer counts what it drops instead of eating what it has
            self.write("buffer_size_kb", str(kib))
            self.rings = [Ring(self.directory, cpu, self._page_bytes()) for cpu in online_cpus()]
        except BaseException:
            self.remove()
            raise

    def _page_bytes(self) -> int:
        try:
            with open(os.path.join(self.directory, "buffer_subbuf_size_kb")) as stream:
                return int(stream.read()) * 1024
        except FileNotFoundError:  # before Linux 6.8 it is always a page
            return os.sysconf("SC_PAGESIZE")

    def write(self, name: str, text: str) -> None:
        with open(os.path.join(self.directory, name), "w") as stream:
            stream.write(text)

    def restrict(self, event: str, condition: str) -> None:
        """The kernel records only hits of `system:event` that meet the condition, e.g. "sig==9"."""
        try:
            self.write(f"events/{event.replace(':', '/', 1)}/filter", condition)
        except OSError as error:
            raise OSError(error.errno, f"filter {condition!r} of {event}: {error.strerror}") from error

    def enable(self, event: str) -> None:
        """Records hits of `system:event` from start() on."""
        self.write(f"events/{event.replace(':', '/', 1)}/enable", "1")

    def start(self) -> None:
        """Record every hit from now on."""
        self.write("tracing_on", "1")

    def stop(self) -> None:
        """From now on none is; what was recorded can still be drained."""
        self.write("tracing_on", "0")

    def remove(self) -> None:
        for ring in self.rings:
            ring.close()
        self.rings.clear()
        _remove(self.directory)


def _remove(directory: str) -> None:
    # A reader that just went away can keep it busy for a moment.
    for _ in range(50):
        try:
            os.rmdir(directory)
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.02)


def sweep(home: str) -> None:
    """Removes what observers that were killed have left."""
    for name in os.listdir(home):
        found = re.fullmatch(PREFIX + r"_(\d+)_\d+", name)
        if found and not os.path.exists(f"/proc/{found[1]}"):
            _remove(os.path.join(home, name))


def online_cpus() -> list[int]:
    """Numbers of the CPUs that are online."""
    with open("/sys/devices/system/cpu/online", encoding="ascii") as stream:
        ranges = [part.split("-") for part in stream.read().strip().split(",")]
    return [cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1)]

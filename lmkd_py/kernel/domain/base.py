"""What every memory domain offers: the same Snapshot, whatever is guarded."""

from __future__ import annotations

from ...core.snapshot import Outcome, Snapshot


class Domain:
    """A guarded domain with its pinned files. open_domain() makes one; steward and killer each open their own."""

    kind: int  # DomainKind
    gone: int = 0  # 1: sample() found the domain's directory removed
    psi_memory_path: str = ""  # file for PSI triggers; "" if there is none
    pressure_dir: str = ""  # v1 memcg directory for vmpressure and oom_control eventfds; "" if there is none
    events_path: str = ""  # v2 memory.events; "" if there is none

    def sample(
        self, now_ms: int, kind: int, level: int, outcome: Outcome, victim_alive: int, want_watermarks: int
    ) -> Snapshot:
        """One pass over the pinned files; candidates are (), the vendor fields and memevents ABSENT/0.

        Kill path: no kernel allocation (SYSTEM: one kmalloc by the last read, /proc/vmstat), never raises.
        What cannot be read is ABSENT. SYSTEM reads zoneinfo only if `want_watermarks`; else the watermarks are ABSENT.
        """
        raise NotImplementedError

    def stall_totals(self) -> tuple[int, int]:
        """Kill path: (some_total_us, full_total_us) of memory PSI from one pinned read; ABSENT where missing."""
        raise NotImplementedError

    def fds(self) -> list[int]:
        """Every descriptor the domain holds."""
        raise NotImplementedError

    def members(self) -> list[int]:
        """Steward: pids inside the domain now. OSError naming the directory if it is gone."""
        raise NotImplementedError

    def oom_kills(self) -> int:
        """Steward: kills by the kernel's OOM killer in this domain so far; ABSENT where the kernel does not count."""
        raise NotImplementedError

    def describe(self) -> str:
        """One line for the trace header: what is guarded and where the numbers come from."""
        raise NotImplementedError

    def close(self) -> None:
        """Close all descriptors; may be called twice."""
        raise NotImplementedError

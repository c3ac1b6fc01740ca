"""Pressure stall files: /proc/pressure/* and a cgroup's *.pressure. Averages in hundredths of a per cent, totals in us.

"some avg10=0.00 avg60=0.00 avg300=0.00 total=0", and the same for "full", which older cpu files lack.
"""

from __future__ import annotations

from .table import HUNDREDTHS, Row


def _average(line: str, field: str, required: int = 0) -> Row:
    return Row(f"\n{line} avg10=".encode(), field, end=b" ", form=HUNDREDTHS, required=required)


IO = (
    _average("some", "psi_io_some_avg10_centi_pct", 1),
    _average("full", "psi_io_full_avg10_centi_pct"),
)
CPU = (_average("some", "psi_cpu_some_avg10_centi_pct", 1),)
MEMORY = (
    _average("some", "psi_mem_some_avg10_centi_pct", 1),
    Row(b" total=", "psi_mem_some_total_us", required=1),
    _average("full", "psi_mem_full_avg10_centi_pct"),
    Row(b" total=", "psi_mem_full_total_us"),
)
# Memory last: its totals should be as fresh as can be.
FILES = (("io", IO), ("cpu", CPU), ("memory", MEMORY))

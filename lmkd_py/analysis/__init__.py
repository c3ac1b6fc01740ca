"""Traces without a board: reading, replay, explanation.

import lmkd_py.analysis

trace = lmkd_py.analysis.open("traces/arm64-4g/SERIAL/BOOT")
trace.kills[0].record.outcome.pid
trace.records["snapshot.mem_free_kb"].min()
"""

from .contents import Trace
from .trace import TraceError
from .trace import read_trace as open

__all__ = ["Trace", "TraceError", "open"]

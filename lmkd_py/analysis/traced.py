"""One record of a trace, as it is handed out."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ..core.config import Config
from ..wire.frames import HEAD
from ..wire.header import Header
from ..wire.record import Record, unpack_record
from .mapped import Data
from .packed import number


@dataclass(slots=True, eq=False)
class Traced:
    """One record and where it is from. It is decoded when its `record` is asked for, once."""

    index: int  # in Trace.records
    seq: int
    killer_pid: int
    file: Path
    offset: int  # of its frame
    header: Header | None  # of its killer and config generation; None where that header is lost
    config: Config | None  # None: the header is lost or holds no config
    _data: Data = field(repr=False)
    _record: Record | None = field(default=None, repr=False)

    @property
    def record(self) -> Record:
        """All of it, decoded."""
        if self._record is None:
            self._record = unpack_record(self._data, self.offset + HEAD.size)
        return self._record

    def peek(self, name: str) -> int:
        """One number of the record, such as `outcome.pid`, without decoding the rest. KeyError if there is none."""
        return number(name, self._data, self.offset + HEAD.size)

    @property
    def killed(self) -> bool:
        """Somebody was struck, or would have been."""
        return self.peek("outcome.pid") > 0

"""What the demo shows while it runs: a live table on a terminal, plain lines anywhere else.

Its numbers come from the records the device hands out and nowhere else; of the board it only knows who is who.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol

from rich import box
from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..core.config import PolicyConfig
from ..core.describe import describe
from ..core.notes import ArmedTrigger
from ..core.vocabulary import KillReason, WakeupKind
from ..core.wakeup import announced
from ..wire.record import Record
from .output import safe, say
from .terminal import console

PSI_METER = "psi total"


class ShownApp(Protocol):
    """An application whose state the demo shows."""

    @property
    def name(self) -> str: ...
    @property
    def pid(self) -> int: ...
    @property
    def adj(self) -> int: ...


class View:
    """Shows records as they come. `kills` are those that struck somebody, `wakeups` counts them by trigger."""

    def __init__(
        self, apps: Sequence[ShownApp], triggers: tuple[ArmedTrigger, ...], policy: PolicyConfig, seconds: float
    ) -> None:
        self._apps, self._triggers, self._policy, self._seconds = apps, triggers, policy, seconds
        self._names = {app.pid: app.name for app in apps}
        self._start = time.monotonic()
        self._title = ""
        self._last: Record | None = None
        self.kills: list[Record] = []
        self.wakeups: Counter[str] = Counter()
        self._live = Live(console=console, refresh_per_second=8, transient=True) if console.is_terminal else None

    def __enter__(self) -> View:
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def begin(self, title: str) -> None:
        """Start a phase of the demo with this title."""
        self._title = title
        self._line(title, "bold")
        self.tick()

    def take(self, records: list[Record]) -> None:
        """Count these records and print their kills."""
        for record in records:
            self._last = record
            self.wakeups[self.trigger(record)] += 1
            if record.left_out.wakeups:
                self.wakeups["not recorded"] += record.left_out.wakeups
            if record.outcome.pid:
                self.kills.append(record)
                self._line(f"  {self._elapsed():5.1f} s  {self._kill(record)}")
        self.tick()

    def trigger(self, record: Record) -> str:
        """The trigger's name without its settings; `poll` for the timer."""
        if 0 <= record.trigger < len(self._triggers):
            return self._triggers[record.trigger].name
        # Without CAP_SYS_RESOURCE the killer meters the PSI totals while it polls: the kernel would be 2 s late.
        return PSI_METER if announced(record.snapshot).kind == WakeupKind.EVENT else "poll"

    def psi_has_spoken(self) -> bool:
        """A PSI trigger fired, or the metered totals crossed its threshold."""
        return any(self.wakeups[name] for name in ("psi some", "psi full", PSI_METER))

    def tick(self) -> None:
        """Redraw the table, if there is a terminal."""
        if self._live:
            self._live.update(Group(self._heading(), self._table()))

    def _line(self, text: str, style: str = "") -> None:
        if not self._live:  # the table tells it
            say(text, style)

    def _elapsed(self) -> float:
        return time.monotonic() - self._start

    def _kill(self, record: Record) -> str:
        name = self._names.get(record.outcome.pid, f"pid {record.outcome.pid}")
        reason = KillReason(record.judgement.reason).name
        words = describe(record.judgement, record.snapshot, self._policy)
        free = f"{record.snapshot.mem_free_kb // 1024} MiB free"
        return f"{name:<16} killed by {self.trigger(record):<20} {reason}: {words}; {free}"

    def _heading(self) -> Text:
        # Three lines of at most 80 columns: a live region is cut, not wrapped.
        share = min(1.0, self._elapsed() / self._seconds)
        lines = [
            f"[{'#' * round(share * 20):<20}] {self._elapsed():4.1f} s of at most {self._seconds:g} s",
            self._title,
        ]
        if self._last:
            seen = self._last.snapshot
            some_pct = max(seen.psi_mem_some_avg10_centi_pct, 0) / 100
            lines.append(
                f"last wakeup: {seen.mem_free_kb // 1024} of {seen.mem_total_kb // 1024} MiB free, "
                f"PSI {some_pct:.1f} %; {sum(self.wakeups.values())} wakeups, {len(self.kills)} kills"
            )
        else:
            lines.append("no wakeup yet: the killer sleeps")
        return Text("\n".join(safe(line) for line in lines))

    def _table(self) -> Table:
        table = Table("adj", "application", "what became of it", box=box.SIMPLE_HEAD)
        fate = {record.outcome.pid: record for record in self.kills}
        for app in self._apps:
            record = fate.get(app.pid)
            if record is None:
                words = Text("lives", style="green")
            else:
                reason = KillReason(record.judgement.reason).name
                words = Text(safe(f"killed: {reason} by {self.trigger(record)}"), style="red")
            table.add_row(str(app.adj), Text(safe(app.name)), words)
        return table

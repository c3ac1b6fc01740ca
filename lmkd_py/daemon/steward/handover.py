"""The half of a handover that cannot be taken back: the new killer is in force, and all else follows it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .. import shared as layout
from ..hurry import take_turns
from .killers.succession import go_live, settle

if TYPE_CHECKING:
    from .killers.keeper import Killer
    from .parts import Parts


class Succession:
    """What is to be done once the former killer is dead, and there is no way back.

    A shortage may interrupt it anywhere: then it is carried out again, as a whole. Twice does no harm.
    """

    def __init__(self, killer: Killer, former: Killer | None) -> None:
        self.killer = killer
        self.former = former
        self._is_live = False

    def carry_out(self, steward: Parts) -> None:
        """OSError, MemoryError: it is to be carried out again."""
        killer, former = self.killer, self.former
        if not self._is_live:
            if former is not None:
                steward.unwatch(former.pidfd)
            killer.shared.words[layout.STAND_IN] = steward.lost.missing_in(killer)
            live_ns = go_live(killer, former)
            if former is not None:
                steward.burial.add(former, killer.pid, live_ns)
            self._is_live = True
        take_turns()
        steward.kernel_strike.arm(os.getpid(), killer.pid, os.getppid())
        steward.events.heed_kicks(steward.kernel_strike)
        steward.strikes.retire(steward.kernel_strike)
        if former is not None:
            steward.events.scan()
        steward.strikes.find_over()
        steward.catch_up_due = not steward.burial.carry_out() or steward.catch_up_due
        steward.journal.count_oom_kills(steward.domain)
        steward.write_down()
        steward.journal.names.settle()
        if not steward.vacancy.pid:  # last of all: this alone would be told twice
            settle(killer, steward.config.monitor, steward.journal)

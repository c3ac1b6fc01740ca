"""A killer's loop in the test's own process, live and striking nobody, with its ring read here."""

from __future__ import annotations

import os

from lmkd_py.daemon.killer.evaluate import Evaluator
from lmkd_py.daemon.killer.loop import Loop
from lmkd_py.daemon.killer.reaper import Reapers
from lmkd_py.daemon.killer.ring import Ring
from lmkd_py.daemon.killer.strike import Striker
from lmkd_py.daemon.killer.victim import Awaited
from lmkd_py.daemon.steward.filing.ring_reader import RingReader
from lmkd_py.kernel.acting.syscalls import eventfd
from lmkd_py.kernel.sensing.domain import Domain
from lmkd_py.kernel.sensing.triggers import StallMeter, Trigger, close_triggers
from lmkd_py.wire.record import Record, unpack_record
from tests.daemon.pair import Pair


class Looped:
    """Domain and triggers are the test's until close()."""

    def __init__(self, domain: Domain, triggers: list[Trigger], meter: StallMeter | None = None) -> None:
        self.domain, self.triggers = domain, triggers
        self.pair, self.notify = Pair(), eventfd()
        self.evaluator = Evaluator(
            domain, self.pair.inbox, Striker(self.pair.roster, (), observe=True),
            Awaited(self.pair.shared, Reapers()), Ring(self.pair.shared, self.notify), meter,
        )  # fmt: skip
        self.loop = Loop(self.pair.shared, self.evaluator, triggers, self.notify)
        self.loop.live = True
        self.reader = RingReader(self.pair.shared)

    def records(self) -> list[Record]:
        """Those since the last call."""
        found = [unpack_record(data) for data in self.reader.take()]
        self.reader.settle()  # or there is soon no room for records without a kill
        return found

    def close(self) -> None:
        close_triggers(self.triggers)
        os.close(self.notify)
        self.domain.close()
        self.pair.close()

"""What a rule needs, as `explain` words it."""

from __future__ import annotations

import pytest

from lmkd_py.core.conditions import Condition, critical_pressure
from lmkd_py.core.vocabulary import ABSENT, Level

from .values import DEFAULTS, make_signals


@pytest.mark.parametrize(
    ("level", "found", "holds"),
    [
        (ABSENT, "this wakeup had no level", False),
        (Level.MEDIUM, "the level was medium", False),
        (Level.CRITICAL, "the level was critical", True),
        (7, "the level was 7", False),
    ],
)
def test_the_level_of_a_wakeup_is_named_where_it_has_one(level: int, found: str, holds: bool) -> None:
    signals = make_signals(level=level)
    assert critical_pressure(signals, DEFAULTS) == Condition("critical pressure", found, holds)

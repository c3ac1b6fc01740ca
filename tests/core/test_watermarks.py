"""Whether free memory has fallen below a watermark since it was looked at."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.core.watermarks import Marks, breached, sank

from .values import Values, make_snapshot

MARKS = Marks(1000, 2000, 3000, 0)
UNREAD = Marks(ABSENT, ABSENT, ABSENT, ABSENT)


@pytest.mark.parametrize(
    ("before_pages", "pages", "expected"),
    [
        (5000, 3000, False),
        (5000, 2999, True),
        (2999, 2500, False),
        (2500, 1999, True),
        (1500, 999, True),
        (900, 1, False),
        (900, 5000, False),
        (5000, 0, False),
    ],
)
def test_free_memory_sinks_where_it_falls_below_a_mark_that_it_was_not_below(
    before_pages: int, pages: int, expected: bool
) -> None:
    assert sank(make_snapshot(mem_free_kb=before_pages * 4), pages, MARKS) == expected
    with_cma = make_snapshot(mem_free_kb=(before_pages + 700) * 4, cma_free_kb=700 * 4)
    assert sank(with_cma, pages + 700 if pages else 0, MARKS) == expected


@pytest.mark.parametrize("unknown", [{"mem_free_kb": ABSENT}, {"page_kb": 0}])
def test_what_was_not_read_has_not_sunk(unknown: Values) -> None:
    assert not sank(make_snapshot(**unknown), 1, MARKS)
    assert not sank(make_snapshot(), 1, UNREAD)


@given(st.lists(st.integers(1, 4000), min_size=1), st.integers(1, 4000))
def test_between_two_looks_it_sinks_three_times_at_most(readings: list[int], before_pages: int) -> None:
    """Each time it does it is looked at; so many evaluations more a poll at most."""
    seen, sunk = before_pages, 0
    for pages in sorted(readings, reverse=True):
        if sank(make_snapshot(mem_free_kb=seen * 4), pages, MARKS):
            assert breached(pages, MARKS) < breached(seen, MARKS)
            seen, sunk = pages, sunk + 1
    assert sunk <= 3

"""Numbers into words: percentiles, markdown tables, the parts of docs/ that a program writes."""

from __future__ import annotations

import math
from collections.abc import Sequence

MARKS = ("<!-- bench:begin -->", "<!-- bench:end -->")
ARM_MARKS = ("<!-- bench:arm:begin -->", "<!-- bench:arm:end -->")  # a board takes long: measured apart

OUTCOME_MARKS = ("<!-- outcome:begin -->", "<!-- outcome:end -->")  # of docs/outcome.md


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` (0 to 1) of all values do not exceed. ValueError for no values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def spread(values: Sequence[float], digits: int = 0) -> str:
    """The percentiles as text: `p50 / p90 / p99 / max`."""
    return " / ".join(f"{percentile(values, share):,.{digits}f}" for share in (0.5, 0.9, 0.99, 1.0))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A markdown table with this heading."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines) + "\n"


def replace_part(page: str, part: str, marks: tuple[str, str] = MARKS) -> str:
    """The page with everything between two marks replaced. ValueError if it does not have both marks."""
    begin, end = marks
    before, mark, rest = page.partition(begin)
    _, closing, after = rest.partition(end)
    if not mark or not closing:
        raise ValueError(f"the page has no {begin} ... {end}; the table goes between these marks")
    return f"{before}{begin}\n{part.strip()}\n{end}{after}"

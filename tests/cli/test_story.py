"""The sentences of `lmkctl explain`."""

from __future__ import annotations

import textwrap

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.analysis.rungs import MATCHED, SILENT, rungs
from lmkd_py.cli import story
from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import ABSENT, Level, WakeupKind, Watermark
from tests.core.values import make_signals


def skipped(**changes: int) -> list[str]:
    """The lines of the rules that were asked and did not match."""
    found = rungs(make_signals(**changes), PolicyConfig())
    return [story._silence(rung) for rung in found if rung.word == SILENT]


def test_a_skipped_rule_says_what_it_needs_and_what_there_was() -> None:
    told = skipped(kind=WakeupKind.POLL, breached=Watermark.NONE, thrashing_pct=40)
    assert "no match: not_responding needs a trigger event; this wakeup was a poll" in told
    assert "no match: low_mem needs free memory below the low watermark; it was above all watermarks" in told
    assert "no match: low_mem_and_swap_util needs swap_util_max_pct to be set; it is 100 (off)" in told
    told = skipped(kind=WakeupKind.EVENT, level=Level.MEDIUM)
    assert "no match: not_responding needs critical pressure; the level was medium" in told


def test_without_swap_a_rule_for_low_swap_says_so() -> None:
    told = skipped(swap_low_threshold_kb=0, free_swap_kb=ABSENT)
    assert "no match: low_swap_and_thrashing needs low free swap; there is no swap" in told


def test_the_matching_rule_is_told_with_its_motive_and_its_needs() -> None:
    (matched,) = [rung for rung in rungs(make_signals(breached=Watermark.LOW), PolicyConfig()) if rung.word == MATCHED]
    words = story._matched(matched)
    assert words.startswith("low_mem: Free memory is low")
    assert words.endswith("It needs free memory below the low watermark (it was below the low watermark).")


@given(st.lists(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12), max_size=12))
def test_lines_break_where_textwrap_breaks_them(words: list[str]) -> None:
    text = " ".join(words)
    wanted = textwrap.wrap(text, 10, break_long_words=False, break_on_hyphens=False) or [""]
    assert story.wrapped(text, 10) == wanted

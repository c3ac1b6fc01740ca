"""What the tests themselves lean on: waiting that ends, and says for what it waited."""

from __future__ import annotations

import pytest

from tests.support import wait_until


def test_waiting_ends_with_the_first_true_value_and_returns_it() -> None:
    answers = iter([0, "", 7, 8])
    assert wait_until("a number comes", lambda: next(answers)) == 7
    assert next(answers) == 8


def test_waiting_in_vain_says_for_what_and_what_was_there_instead() -> None:
    with pytest.raises(AssertionError, match=r"^waited 0\.05 s in vain until it is armed; found: not armed$"):
        wait_until("it is armed", lambda: False, 0.05, seen=lambda: "not armed")


def test_what_is_so_already_is_not_waited_for_even_without_patience() -> None:
    assert wait_until("it is so", lambda: True, 0)

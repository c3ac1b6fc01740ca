"""The registration file: hostile bytes become sentences, never exceptions."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.daemon.steward.candidates.procs_file import Line, parse_procs


def test_lines_keep_their_order_and_comments_are_skipped() -> None:
    lines, refused = parse_procs(b"# who\n12 10000 900\n\n13 10001 0  # the home screen\n")
    assert lines == [Line(12, 10000, 900), Line(13, 10001, 0)]
    assert refused == []


def test_a_line_that_is_none_is_named_and_the_others_still_count() -> None:
    lines, refused = parse_procs(b"12 10000\n14 0 200\nx y z\n")
    assert lines == [Line(14, 0, 200)]
    assert refused == [
        "procs line 1: found '12 10000', wanted 'pid uid adj'",
        "procs line 3: found 'x y z', wanted 'pid uid adj'",
    ]


def test_only_plain_numbers_are_numbers() -> None:
    lines, refused = parse_procs(b"1_0 0 900\n7 0 9_00\n" + b"1" * 100 + b" 0 900\n8 0 900  # the_home_screen\n")
    assert lines == [Line(8, 0, 900)]
    assert len(refused) == 3


@given(st.binary(max_size=300))
def test_any_bytes_give_lines_or_sentences(data: bytes) -> None:
    lines, refused = parse_procs(data)
    assert len(lines) + len(refused) <= data.count(b"\n") + 1


@given(st.lists(st.tuples(st.integers(0, 2**31 - 1), st.integers(0, 2**32 - 1), st.integers(-(2**31), 2**31))))
def test_what_is_written_is_read(rows: list[tuple[int, int, int]]) -> None:
    data = "".join(f"{pid} {uid} {adj}\n" for pid, uid, adj in rows).encode()
    assert parse_procs(data) == ([Line(*row) for row in rows], [])

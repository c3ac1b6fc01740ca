"""What the loader reads before it trusts it: the object, the kernel's types, the cache; also damaged ones."""

from __future__ import annotations

import re
import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.kernel.bpf import elf, facts, layout
from lmkd_py.kernel.bpf.btf import Btf
from lmkd_py.kernel.bpf.child import OBJECT
from tests.kernel.bpf_btf import BtfBuilder, small_kernel
from tests.support import REPO_ROOT

WHOLE = Path(OBJECT).read_bytes()
KEY = bytes(range(20))
KNOWN = facts.KernelFacts(tuple(range(19)), tuple(range(11)))


def test_the_layout_is_the_sources() -> None:
    text = re.sub(r"/\*.*?\*/", "", (REPO_ROOT / "device/bpf/words.h").read_text(), flags=re.DOTALL)
    (words,) = re.findall(r"enum word \{(.*?)\}", text, re.DOTALL)
    number = 0
    for entry in re.split(r"\s*,\s*", words.strip().rstrip(",")):
        name, _, value = entry.partition(" = ")
        number = int(value) if value else number
        assert getattr(layout, name) == number, name
        number += 1
    assert f"WORDS = {layout.WORDS}, LIST_ROWS = {layout.LIST_ROWS}, LOG_ROWS = {layout.LOG_ROWS}" in text
    assert "OFF = 0, KICK_ONLY = 1, STRIKE = 2" in text
    maps = elf.parse(WHOLE).maps
    sizes = {"guard": layout.WORDS_BYTES, "rows": layout.ROWS_BYTES, "log": layout.LOG_BYTES}
    assert {name: maps[name].value_size * maps[name].max_entries for name in sizes} == sizes


def test_the_object_holds_every_variant_for_both_domains_and_only_known_functions() -> None:
    parsed = elf.parse(WHOLE)
    assert set(parsed.programs) == {f"{place}/{name}" for place in ("memcg", "system") for name in
                                    ("list", "current", "current_plain", "walk")}  # fmt: skip
    maps = {name: number for number, name in enumerate(parsed.maps, 100)}
    functions = {name: number for number, name in enumerate(facts.KERNEL_FUNCTIONS, 1000)}
    for program in parsed.programs.values():
        code = elf.fill(program, maps, functions)
        for reference in program.references:
            insn, register, _, value = struct.unpack_from("<BBhi", code, reference.instruction * 8)
            is_map = reference.kind == elf.R_BPF_64_64
            assert (insn, register >> 4) == ((0x18, 1) if is_map else (0x85, 2))
            assert value == (maps if is_map else functions)[reference.name]
    with pytest.raises(ValueError, match="refers to 'bpf_send_signal_task'"):
        elf.fill(parsed.programs["memcg/list"], maps, {})


def fetches(code: bytes) -> int:
    """How many atomic instructions fetch: all that Linux before 5.12 does not know."""
    found = at = 0
    while at < len(code):
        operation, _, _, what = struct.unpack_from("<BBhi", code, at)
        found += operation in (0xC3, 0xDB) and what != 0  # 0: BPF_XADD
        at += 16 if operation == 0x18 else 8
    return found


def test_only_the_plain_programs_do_without_fetching_atomics() -> None:
    programs = elf.parse(WHOLE).programs
    without = [name for name, program in programs.items() if not fetches(program.instructions)]
    assert sorted(without) == ["memcg/current_plain", "system/current_plain"]


@given(st.integers(0, len(WHOLE) - 1))
def test_a_cut_object_is_refused_with_a_line(end: int) -> None:
    with pytest.raises(ValueError, match=r"BPF object .*|'.*' is not in list"):
        elf.parse(WHOLE[:end])


@given(st.lists(st.tuples(st.integers(0, len(WHOLE) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_a_damaged_object_is_parsed_or_refused(damage: list[tuple[int, int]]) -> None:
    raw = bytearray(WHOLE)
    for place, value in damage:
        raw[place] = value
    with suppress(ValueError):  # and nothing else
        parsed = elf.parse(bytes(raw))
        for program in parsed.programs.values():
            elf.fill(program, dict.fromkeys(parsed.maps, 3), dict.fromkeys(facts.KERNEL_FUNCTIONS, 7))


def resolve(raw: bytes, folder: Path) -> facts.KernelFacts:
    path = folder / "vmlinux"
    path.write_bytes(raw)
    return facts.resolve(str(path))


def test_offsets_are_found_through_typedefs_arrays_and_anonymous_members(tmp_path: Path) -> None:
    found = resolve(small_kernel(), tmp_path)
    word = dict(zip(range(facts.FIRST, facts.LAST + 1), found.words, strict=True))
    assert word[layout.TASK_SIGNAL] == 100
    assert word[layout.TASK_START] == 200
    assert (word[layout.SIGNAL_LIVE], word[layout.SIGNAL_FLAGS], word[layout.SIGNAL_ADJ]) == (4, 100, 202)
    assert (word[layout.MM_RSS_FILE], word[layout.MM_RSS_ANON], word[layout.MM_RSS_SHMEM]) == (112, 152, 232)
    assert (word[layout.CSS_MEMCG], word[layout.MEMCG_NODEINFO]) == (10 + 8 * 4, 2000)
    assert (word[layout.NODE_PGDAT], word[layout.ZONE_SIZE], word[layout.ZONE_FREE]) == (260, 1984, 1792)
    assert word[layout.ZONES] == 5
    assert found.function_ids().keys() == {"bpf_task_from_pid"}


def test_older_and_smaller_kernels_are_read_too(tmp_path: Path) -> None:
    old = resolve(small_kernel(percpu_rss=False), tmp_path)
    assert old.words[layout.TASK_START - facts.FIRST] == 200
    assert old.words[layout.MM_RSS_ANON - facts.FIRST] == 104 + 8
    bare = resolve(small_kernel(memcg=False), tmp_path)
    assert bare.knows(layout.TASK_SIGNAL, layout.MM_RSS_SHMEM)
    assert not bare.knows(layout.CSS_MEMCG)


def test_a_kernel_that_lacks_what_all_variants_need_is_refused() -> None:
    btf = BtfBuilder()
    btf.struct("task_struct", 8, ("mm", btf.integer("int", 4), 0))
    parsed = Btf(btf.raw(), ("task_struct", "signal_struct"))
    with pytest.raises(ValueError, match="no member start_boottime or real_start_time"):
        parsed.member(parsed.struct("task_struct"), "start_boottime", "real_start_time")
    with pytest.raises(ValueError, match="kernel BTF has no struct signal_struct"):
        parsed.struct("signal_struct")


SMALL = small_kernel()


@given(st.lists(st.tuples(st.integers(0, len(SMALL) - 1), st.integers(0, 255)), min_size=1, max_size=6))
def test_damaged_type_information_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, damage: list[tuple[int, int]]
) -> None:
    raw = bytearray(SMALL)
    for place, value in damage:
        raw[place] = value
    with suppress(ValueError):
        resolve(bytes(raw), tmp_path_factory.getbasetemp())


@given(st.integers(0, len(SMALL) - 1))
def test_cut_type_information_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, end: int) -> None:
    with suppress(ValueError):
        resolve(SMALL[:end], tmp_path_factory.getbasetemp())


def test_the_cache_gives_back_what_was_put_in() -> None:
    assert facts.decode(KEY, facts.encode(KEY, KNOWN)) == KNOWN
    assert facts.decode(KEY[::-1], facts.encode(KEY, KNOWN)) is None


@given(st.binary(max_size=400))
def test_what_is_no_cache_is_none(raw: bytes) -> None:
    assert facts.decode(KEY, raw) is None


@given(st.integers(0, len(facts.encode(KEY, KNOWN)) - 1), st.integers(1, 255))
def test_a_cache_with_one_byte_changed_is_none(place: int, change: int) -> None:
    raw = bytearray(facts.encode(KEY, KNOWN))
    raw[place] ^= change
    assert facts.decode(KEY, bytes(raw)) is None


def test_a_corrupt_cache_is_resolved_anew_and_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = facts.resolve

    def counted() -> facts.KernelFacts:
        calls.append(1)
        return real()

    monkeypatch.setattr(facts, "resolve", counted)
    cache = tmp_path / "btf.cache"
    first = facts.facts_of_this_kernel(str(tmp_path))
    good = cache.read_bytes()
    assert facts.facts_of_this_kernel(str(tmp_path)) == first
    assert len(calls) == 1
    cache.write_bytes(good[:-1] + b"!")
    assert facts.facts_of_this_kernel(str(tmp_path)) == first
    assert len(calls) == 2
    assert cache.read_bytes() == good
    cache.unlink()
    cache.mkdir()  # cannot be written: resolved each time
    assert facts.facts_of_this_kernel(str(tmp_path)) == first
    assert len(calls) == 3
    assert first.knows(layout.TASK_SIGNAL, layout.ZONE_FREE)


def test_the_build_id_is_read_among_other_notes(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    xen = struct.pack("=III4s4s", 4, 4, 6, b"Xen\0", b"abcd")
    notes.write_bytes(xen + struct.pack("=III4s", 4, 20, 3, b"GNU\0") + KEY)
    assert facts.build_id(str(notes)) == KEY
    notes.write_bytes(xen)
    assert facts.build_id(str(notes)) == b""
    assert facts.build_id(str(tmp_path / "none")) == b""
    assert len(facts.build_id()) == 20

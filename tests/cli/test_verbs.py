"""lmkctl's verbs on traces and configurations: what they print and what they exit with."""

from __future__ import annotations

import errno
import json
from pathlib import Path

import pytest

from lmkd_py.core.config import DEFAULTS, Config, PolicyConfig
from lmkd_py.core.snapshot import NO_OUTCOME
from lmkd_py.wire.config import decode_config, encode_config
from lmkd_py.wire.record import Aftermath
from tests.analysis.paper import header, write
from tests.cli.conftest import Lmkctl, paper_records


def test_replay_counts_wakeups_and_kills_and_says_they_agree(lmkctl: Lmkctl, paper_trace: Path) -> None:
    said = lmkctl("replay", paper_trace)
    assert said.code == 0
    assert said.out.splitlines()[-1] == f"replay: {len(paper_records())} recorded wakeups, 2 kills, 0 differences"
    assert said.err == ""


def test_replay_exits_1_and_names_what_differs(lmkctl: Lmkctl, tmp_path: Path) -> None:
    records = paper_records()
    wrong = records[-1]._replace(judgement=records[-1].judgement._replace(min_adj=1))
    said = lmkctl("replay", write(tmp_path / "0001.lmkt", header(Config()), *records[:-1], wrong))
    assert said.code == 1
    assert (
        f"differs: record {wrong.seq} of killer {wrong.killer_pid}: judgement.min_adj recorded 1, decided" in said.out
    )
    assert said.out.splitlines()[-1].endswith("1 difference")


def test_replay_under_another_policy_than_the_recorded_one_differs(lmkctl: Lmkctl, tmp_path: Path) -> None:
    other = header(Config(PolicyConfig(lowmem_min_adj=1001)))
    assert lmkctl("replay", write(tmp_path / "0001.lmkt", other, *paper_records())).code == 1


def test_replay_of_a_torn_trace_says_what_is_lost_and_still_decides_the_rest(lmkctl: Lmkctl, paper_trace: Path) -> None:
    whole = paper_trace.read_bytes()
    paper_trace.write_bytes(whole[:-10])
    said = lmkctl("replay", paper_trace)
    assert said.code == 0
    assert "lost:" in said.out
    assert f"replay: {len(paper_records()) - 1} recorded wakeups" in said.out


def test_a_trace_whose_header_is_lost_cannot_be_replayed(lmkctl: Lmkctl, tmp_path: Path) -> None:
    said = lmkctl("replay", write(tmp_path / "0001.lmkt", *paper_records()))
    assert said.code == 1
    assert "lost their configuration" in said.out


def test_explain_tells_every_kill(lmkctl: Lmkctl, paper_trace: Path) -> None:
    said = lmkctl("explain", paper_trace)
    assert said.code == 0
    assert "kill 1 of 2" in said.out
    assert "kill 2 of 2" in said.out
    for words in (
        "alpha (pid 41, adj 905, 20000 kB)",
        "LOW_MEM",
        "min_adj 701",
        "low_mem:",
        "strike 10 us",
        "mem_free",
    ):
        assert words in said.out


def test_explain_can_tell_one_kill_only(lmkctl: Lmkctl, paper_trace: Path) -> None:
    said = lmkctl("explain", paper_trace, "--kill", 1, "--short")
    assert said.code == 0
    (line,) = said.out.splitlines()
    assert line.startswith("kill 1: alpha (pid 41")


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (0, "5000 us after the signal; process_mrelease took 140 us"),
        (-errno.ESRCH, "process_mrelease took 140 us and gave ESRCH: it was gone already"),
        (-errno.ENOSYS, "5000 us after the signal; nothing reaped it: process_mrelease came with Linux 5.15"),
    ],
)
def test_explain_says_what_became_of_the_victims_memory(
    lmkctl: Lmkctl, tmp_path: Path, result: int, words: str
) -> None:
    (kill,) = paper_records(1)
    after = kill._replace(
        seq=kill.seq + 1,
        outcome=NO_OUTCOME,
        aftermath=Aftermath(kill.outcome.pid, 1_000_000, 6_000_000, 140_000, result),
    )
    said = lmkctl("explain", write(tmp_path / "0001.lmkt", header(Config()), kill, after))
    assert words in " ".join(said.out.split())


@pytest.mark.parametrize("number", [0, 3, -1])
def test_explain_refuses_a_kill_that_is_not_there(lmkctl: Lmkctl, paper_trace: Path, number: int) -> None:
    said = lmkctl("explain", paper_trace, "--kill", number)
    assert said.code == 2
    assert said.err == f"lmkctl: {paper_trace}: found kill {number}, wanted a kill from 1 to 2\n"


def test_explain_of_a_quiet_trace_says_so(lmkctl: Lmkctl, tmp_path: Path) -> None:
    said = lmkctl("explain", write(tmp_path / "0001.lmkt", header(Config())))
    assert (said.code, said.out) == (0, "no kills in 0 recorded wakeups\n")


def test_explain_as_json_is_one_object_a_kill(lmkctl: Lmkctl, paper_trace: Path) -> None:
    kills = [json.loads(line) for line in lmkctl("explain", paper_trace, "--json").out.splitlines()]
    assert [(kill["kill"], kill["of"], kill["victim"]["pid"]) for kill in kills] == [(1, 2, 41), (2, 2, 42)]
    assert {phase["name"] for phase in kills[0]["phases"]} >= {"read", "judge", "strike", "total"}


@pytest.mark.parametrize("verb", ["replay", "explain"])
@pytest.mark.parametrize("kind", ["missing", "empty", "noise", "directory"])
def test_what_is_no_trace_is_refused_in_one_line(lmkctl: Lmkctl, tmp_path: Path, verb: str, kind: str) -> None:
    path = tmp_path / "0001.lmkt"
    if kind == "directory":
        path.mkdir()
    elif kind != "missing":
        path.write_bytes(b"" if kind == "empty" else bytes(range(256)) * 20)
    said = lmkctl(verb, path)
    assert said.code == 2
    assert said.out == ""
    assert len(said.err.splitlines()) == 1
    assert said.err.startswith("lmkctl: ")
    assert "wanted" in said.err


def test_config_goes_from_text_to_bytes_and_back(lmkctl: Lmkctl, tmp_path: Path) -> None:
    text, binary = tmp_path / "c.textproto", tmp_path / "config.bin"
    text.write_text("policy { lowmem_min_adj: 801 }\n")
    assert lmkctl("config", "encode", text, "-o", binary).code == 0
    assert decode_config(binary.read_bytes()).policy.lowmem_min_adj == 801
    shown = lmkctl("config", "show", binary)
    assert shown.code == 0
    assert "lowmem_min_adj: 801" in shown.out
    text.write_text(shown.out)
    assert lmkctl("config", "validate", text).code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.textproto", "config.bin"]


@pytest.mark.parametrize("text", ["", "\n", "# nothing yet\n"])
def test_a_text_that_sets_nothing_is_all_defaults_and_says_so(lmkctl: Lmkctl, tmp_path: Path, text: str) -> None:
    path, binary = tmp_path / "c.textproto", tmp_path / "config.bin"
    path.write_text(text)
    for words in (("validate", path), ("encode", path, "-o", binary)):
        said = lmkctl("config", *words)
        assert said.code == 0
        assert said.err == f"lmkctl: {path}: sets nothing: every setting has its default\n"
    assert decode_config(binary.read_bytes()) == DEFAULTS
    assert binary.stat().st_mode & 0o777 == 0o644


def test_bytes_that_were_cut_off_are_no_defaults(lmkctl: Lmkctl, tmp_path: Path) -> None:
    binary = tmp_path / "config.bin"
    for data in (b"", encode_config(DEFAULTS)[:-2]):
        binary.write_bytes(data)
        said = lmkctl("config", "validate", binary)
        assert said.code == 2
        assert "cut off" in said.err
        assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize("verb", ["show", "validate", "encode"])
def test_a_bad_config_exits_2_and_writes_nothing(lmkctl: Lmkctl, tmp_path: Path, verb: str) -> None:
    text = tmp_path / "c.textproto"
    text.write_text("policy { lowmem_min_adj: 5 }")
    output = ["-o", tmp_path / "config.bin"] if verb == "encode" else []
    said = lmkctl("config", verb, text, *output)
    assert said.code == 2
    assert said.err == "lmkctl: policy.lowmem_min_adj: found 5, wanted an integer from 201 to 1001\n"
    assert not (tmp_path / "config.bin").exists()


def test_status_without_a_daemon_says_how_to_start_one(lmkctl: Lmkctl, tmp_path: Path) -> None:
    said = lmkctl("status", "--root", tmp_path)
    assert said.code == 1
    assert len(said.err.splitlines()) == 1
    assert f"lmkd-py run --root {tmp_path}" in said.err

"""A process is told by its present name: an application by its package, with comm beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmkd_py.analysis.explain import explain
from lmkd_py.analysis.names import names_of
from lmkd_py.analysis.trace import read_trace
from lmkd_py.cli import story
from lmkd_py.core.config import Config
from lmkd_py.core.snapshot import Candidate
from lmkd_py.wire.header import MEMBERSHIP, Note, Process
from tests.analysis.paper import LOW_MEM, PaperKiller, header, write


@pytest.mark.parametrize(
    ("comm", "cmdline", "told", "beside"),
    [
        ("ncent.shootgame", "com.tencent.shootgame", "com.tencent.shootgame", "ncent.shootgame"),
        ("RenderThread", "com.bank.app:remote", "com.bank.app:remote", "RenderThread"),
        ("zygote64", "zygote64", "zygote64", ""),
        ("com.bank.app", "zygote64", "com.bank.app", ""),  # its command line was gone when it was read again
        ("gnome-terminal-", "/usr/libexec/gnome-terminal-server", "gnome-terminal-server", "gnome-terminal-"),
        ("worker-7", "/usr/bin/python3.11", "worker-7", ""),
        ("worker-7", "python3.11", "worker-7", ""),
        ("kept", "", "kept", ""),
        ("", "/bin/odd", "odd", ""),
    ],
)
def test_the_fuller_name_is_told_unless_the_process_has_renamed_itself(
    comm: str, cmdline: str, told: str, beside: str
) -> None:
    assert names_of(Process(1, 2, 3, comm, cmdline)) == (told, beside)


def test_a_kill_names_package_comm_and_cgroup_as_they_were_known_last(tmp_path: Path) -> None:
    killer = PaperKiller(Config())
    killer.candidates = (Candidate(71, 10_071, 950, 500, 5, 1),)
    record = killer.wakeup(300, **{**LOW_MEM, "kswapd_progress": 150})
    first = Process(71, 5, 0, "zygote64", "zygote64", "/")
    last = Process(71, 5, 10_071, "xample.bank.app", "org.example.bank.app", "/apps/bank")
    path = tmp_path / "0001.lmkt"
    age = Note(record.outcome.at_ms * 1_000_000, MEMBERSHIP, "", 740)
    write(path, header(killer.config), first, record, last, age)
    told = explain(read_trace(path), 1)
    assert told.victim is not None
    assert (told.victim.name, told.victim.comm) == ("org.example.bank.app", "xample.bank.app")
    text = "\n".join(story.full(1, 1, told))
    assert "org.example.bank.app (comm xample.bank.app, pid 71, adj 950" in text
    assert "cgroup /apps/bank" in text
    assert "when last checked, 740 ms before" in " ".join(text.split())
    assert "org.example.bank.app (comm xample.bank.app" in story.one_line(1, told)

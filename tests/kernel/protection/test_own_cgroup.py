"""Our own place among the cgroups, on trees that look like the kernel's: what is written where."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from lmkd_py.core.notes import Note
from lmkd_py.core.vocabulary import NoteKind
from lmkd_py.kernel.protection.memory_min import NAME
from lmkd_py.kernel.protection.own_cgroup import (
    OURSELVES_BYTES,
    Left,
    give_rt_quota,
    go_back,
    leave_limits,
    make_rt_quota,
    take_rt_quota,
)
from lmkd_py.wire.sentences import sentence

V1_MEMORY = "30 20 0:26 / /cg/memory rw - cgroup cgroup rw,memory\n"
V1_CPU = "31 20 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
V2 = "32 20 0:28 / /cg/v2 rw - cgroup2 cgroup2 rw\n"
FOREVER = "9223372036854771712"


def tree(root: Path, mounts: str, own: str, files: dict[str, str]) -> str:
    """A captured /proc and cgroup tree below `root`."""
    for name, text in {"proc/self/mountinfo": mounts, "proc/self/cgroup": own, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def v2_root(children: str, *empty: str) -> dict[str, str]:
    """children: the controllers that those below have."""
    files = {"cg/v2/cgroup.controllers": "cpu memory pids\n", "cg/v2/cgroup.subtree_control": children}
    return files | {f"cg/v2/{name}/cgroup.events": "populated 0\n" for name in empty} | {"cg/v2/cgroup.procs": ""}


def v2_group(path: str, limit: str = "max", members: str = "", protected: str = "0") -> dict[str, str]:
    return {f"cg/v2/{path}/{name}": text for name, text in (("memory.max", limit), ("memory.min", protected))} | {
        f"cg/v2/{path}/cgroup.{name}": text
        for name, text in (("procs", members), ("subtree_control", "memory"), ("events", "populated 1\n"))
    }


def leave(root: str) -> Left:
    """leave_limits() as the steward calls it."""
    return leave_limits((os.getpid(),), root)


def said(left: Left) -> str:
    return sentence(left.note)


def v1_group(path: str, limit: str) -> dict[str, str]:
    return {f"cg/memory/{path}/memory.limit_in_bytes": limit, f"cg/memory/{path}/cgroup.procs": ""}


def test_a_v1_cgroup_without_limit_is_stayed_in(tmp_path: Path) -> None:
    root = tree(tmp_path, V1_MEMORY, "4:memory:/a/b\n", v1_group("a", FOREVER) | v1_group("a/b", FOREVER))
    assert leave(root).note == Note(kind=NoteKind.MEMORY_CGROUP_UNLIMITED, subject="/a/b")
    assert (tmp_path / "cg/memory/a/b/cgroup.procs").read_text() == ""


def test_the_highest_limited_v1_cgroup_is_left_for_its_parent(tmp_path: Path) -> None:
    files = v1_group("a", FOREVER) | v1_group("a/b", "1000000") | v1_group("a/b/c", FOREVER)
    root = tree(tmp_path, V1_MEMORY, "4:cpu,memory:/a/b/c\n", files)
    assert said(leave(root)) == "memory cgroup /a: left /a/b/c, which is limited"
    assert (tmp_path / "cg/memory/a/cgroup.procs").read_text() == "0"


def test_a_v2_cgroup_of_our_own_is_protected_where_it_is(tmp_path: Path) -> None:
    files = v2_group("daemon", members=f"{os.getpid()}\n")
    root = tree(tmp_path, V2, "0::/daemon\n", v2_root("memory pids") | files)
    left = leave(root)
    assert said(left) == "memory cgroup /daemon: memory.min 10 MiB"
    own = tmp_path / "cg/v2/daemon"
    assert (own / "memory.min").read_text() == str(OURSELVES_BYTES)
    assert (own / "cgroup.procs").read_text() == f"{os.getpid()}\n"
    go_back(left)
    assert (own / "memory.min").read_text() == "0"


@pytest.mark.parametrize(
    ("path", "files"),
    [
        ("user", v2_group("user", members="1\n")),  # shared
        ("user/shell", v2_group("user", limit="1000000") | v2_group("user/shell", members=f"{os.getpid()}\n")),
        ("slice/unit", v2_group("slice") | v2_group("slice/unit", protected=f"{64 << 20}")),  # for nothing
        ("", {}),
    ],
)
def test_a_v2_cgroup_that_is_shared_limited_or_not_protected_is_left_for_one_of_our_own_below_the_root(
    tmp_path: Path, path: str, files: dict[str, str]
) -> None:
    root = tree(tmp_path, V2, f"0::/{path}\n", v2_root("memory") | files)
    left = leave(root)
    assert said(left) == f"memory cgroup /{NAME}: memory.min 10 MiB"
    own = tmp_path / "cg/v2" / NAME
    assert (own / "cgroup.procs").read_text() == "0"
    assert (own / "memory.min").read_text() == str(OURSELVES_BYTES)
    for name in ("cgroup.procs", "memory.min"):  # no directory of the kernel's holds them up
        (own / name).unlink()
    go_back(left)
    assert (tmp_path / "cg/v2" / path / "cgroup.procs").read_text() == "0"
    assert not own.exists()


def test_what_is_protected_already_is_shared_with_whoever_is_in_it(tmp_path: Path) -> None:
    """A killer whose steward was killed lives in the unit's cgroup when the next steward comes."""
    files = v2_group("unit", members="1\n", protected=f"{64 << 20}")
    assert leave(tree(tmp_path, V2, "0::/unit\n", v2_root("memory") | files)).note.subject == "/unit"
    assert (tmp_path / "cg/v2/unit/memory.min").read_text() == str(64 << 20)


def test_where_the_root_may_not_be_used_the_words_say_how_much_counts(tmp_path: Path) -> None:
    alone = f"{os.getpid()}\n"
    files = v2_root("memory") | v2_group("user", protected=f"{8 << 20}") | v2_group("user/unit", members=alone)
    root = tree(tmp_path, V2, "0::/user/unit\n", files)
    (tmp_path / "cg/v2" / NAME).write_text("")  # no directory can be made
    short = Note(kind=NoteKind.MEMORY_MIN_SHORT, number=8, subject="/user/unit")
    assert leave(root).note == short
    words = "memory cgroup /user/unit: memory.min, of which 8 MiB count: the cgroups above it have no more"
    assert sentence(short) == words
    (tmp_path / "cg/v2/user/unit/memory.min").write_text("0")
    (tmp_path / "cg/v2/user/unit/cgroup.procs").write_text("1\n")
    assert leave(root).note == short._replace(subject=f"/user/{NAME}")


def test_the_controller_is_switched_on_where_nobody_else_would_be_accounted_apart(tmp_path: Path) -> None:
    root = tree(tmp_path, V2, "0::/\n", v2_root("", "empty"))
    left = leave(root)
    control = tmp_path / "cg/v2/cgroup.subtree_control"
    assert control.read_text() == "+memory"
    assert (left.note.kind, left.note.number) == (NoteKind.MEMORY_MIN, 10)
    (tmp_path / "cg/v2/app").mkdir()
    (tmp_path / "cg/v2/app/cgroup.events").write_text("populated 1\nfrozen 0\n")
    control.write_text("pids")
    assert said(leave(root)).endswith("it would be for 1 others, too")
    assert control.read_text() == "pids"


def test_a_machine_without_memory_cgroups_is_told_of(tmp_path: Path) -> None:
    assert leave(tree(tmp_path, "", "0::/\n", {})) == Left(Note(kind=NoteKind.MEMORY_CGROUPS_ABSENT))
    files = {"cg/v2/cgroup.controllers": "cpu pids\n", "cg/v2/user/cgroup.procs": ""}
    assert leave(tree(tmp_path, V2, "0::/user\n", files)) == Left(Note(kind=NoteKind.MEMORY_CGROUPS_ABSENT))


def test_a_refusal_is_a_note(tmp_path: Path) -> None:
    files = {"cg/memory/a/memory.limit_in_bytes": "1000000"}
    root = tree(tmp_path, V1_MEMORY, "4:memory:/a\n", files)
    (tmp_path / "cg/memory/cgroup.procs").mkdir()
    procs = str(tmp_path / "cg/memory/cgroup.procs")
    assert leave(root).note == Note(kind=NoteKind.MEMORY_CGROUP_REFUSED, errno=errno.EISDIR, subject=procs)
    assert said(leave(root)) == "own memory cgroup refused: Is a directory"


def test_no_quota_where_real_time_tasks_are_not_grouped(tmp_path: Path) -> None:
    assert take_rt_quota(tree(tmp_path, V1_CPU, "1:cpu:/\n", {"cg/cpu/cpu.shares": "1024"})) is None
    assert take_rt_quota(tree(tmp_path / "none", "", "", {})) is None


def test_the_quota_is_there_before_the_move(tmp_path: Path) -> None:
    files = {"cg/cpu/cpu.rt_runtime_us": "950000", f"cg/cpu/{NAME}/cpu.rt_runtime_us": "0"}
    note = take_rt_quota(tree(tmp_path, V1_CPU, "1:cpu:/\n", files))
    own = tmp_path / "cg/cpu" / NAME
    assert note == Note(kind=NoteKind.RT_QUOTA, number=80, layer=1, subject=str(own))
    assert sentence(note) == f"cpu cgroup {own}: real-time quota 80 of 100 ms"
    assert [(own / f"cpu.rt_{name}_us").read_text() for name in ("runtime", "period")] == ["80000", "100000"]
    assert (own / "cgroup.procs").read_text() == "0"


def test_a_quota_is_made_by_one_and_given_by_another(tmp_path: Path) -> None:
    files = {"cg/cpu/cpu.rt_runtime_us": "950000", f"cg/cpu/{NAME}/cpu.rt_runtime_us": "0"}
    root = tree(tmp_path, V1_CPU, "1:cpu:/\n", files)
    own = tmp_path / "cg/cpu" / NAME
    (tmp_path / "proc/77").mkdir()
    (tmp_path / "proc/77/cgroup").write_text("1:cpu:/\n")
    assert give_rt_quota(77, root) is None
    assert not (own / "cgroup.procs").exists(), "nobody of real-time priority can be where there is no quota"
    made = make_rt_quota(root)
    assert made.directory == str(own)
    assert made.note is not None
    assert made.note.kind == NoteKind.RT_QUOTA
    assert not (own / "cgroup.procs").exists()
    assert give_rt_quota(77, root) is None
    assert (own / "cgroup.procs").read_text() == "77"


def test_who_is_in_the_quotas_cgroup_already_is_not_moved_again(tmp_path: Path) -> None:
    files = {"cg/cpu/cpu.rt_runtime_us": "950000", f"cg/cpu/{NAME}/cpu.rt_runtime_us": "0"}
    root = tree(tmp_path, V1_CPU, "1:cpu:/\n", files)
    own = tmp_path / "cg/cpu" / NAME
    (tmp_path / "proc/77").mkdir()
    (tmp_path / "proc/77/cgroup").write_text(f"1:cpu:/{NAME}\n")
    assert make_rt_quota(root).directory == str(own)
    assert give_rt_quota(77, root) is None
    assert not (own / "cgroup.procs").exists()
    (own / "cgroup.procs").mkdir()
    (tmp_path / "proc/77/cgroup").write_text("1:cpu:/\n")
    note = give_rt_quota(77, root)
    assert note is not None
    assert (note.kind, note.errno, note.subject) == (
        NoteKind.CPU_CGROUP_REFUSED, errno.EISDIR, str(own / "cgroup.procs")
    )  # fmt: skip
    assert sentence(note) == "own cpu cgroup refused: Is a directory"

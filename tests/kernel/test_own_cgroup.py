"""Our own place among the cgroups, on trees that look like the kernel's: what is written where."""

from __future__ import annotations

import os
from pathlib import Path

from lmkd_py.kernel.own_cgroup import NAME, PROTECTED_BYTES, leave_limits, take_rt_quota

V1_MEMORY = "30 20 0:26 / /cg/memory rw - cgroup cgroup rw,memory\n"
V1_CPU = "31 20 0:27 / /cg/cpu rw - cgroup cgroup rw,cpu\n"
V2 = "32 20 0:28 / /cg/v2 rw - cgroup2 cgroup2 rw\n"
FOREVER = "9223372036854771712"


def tree(root: Path, mounts: str, own: str, files: dict[str, str]) -> str:
    """A /proc and a cgroup file system."""
    for name, text in {"proc/self/mountinfo": mounts, "proc/self/cgroup": own, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return str(root)


def v2_group(path: str, limit: str = "max", members: str = "") -> dict[str, str]:
    return {f"cg/v2/{path}/{name}": text for name, text in (("memory.max", limit), ("memory.min", "0"))} | {
        f"cg/v2/{path}/cgroup.procs": members
    }


def v1_group(path: str, limit: str) -> dict[str, str]:
    return {f"cg/memory/{path}/memory.limit_in_bytes": limit, f"cg/memory/{path}/cgroup.procs": ""}


def test_a_v1_cgroup_without_limit_is_stayed_in(tmp_path: Path) -> None:
    root = tree(tmp_path, V1_MEMORY, "4:memory:/a/b\n", v1_group("a", FOREVER) | v1_group("a/b", FOREVER))
    assert leave_limits(root) == "memory cgroup /a/b: no limit"
    assert (tmp_path / "cg/memory/a/b/cgroup.procs").read_text() == ""


def test_the_highest_limited_v1_cgroup_is_left_for_its_parent(tmp_path: Path) -> None:
    files = v1_group("a", FOREVER) | v1_group("a/b", "1000000") | v1_group("a/b/c", FOREVER)
    root = tree(tmp_path, V1_MEMORY, "4:cpu,memory:/a/b/c\n", files)
    assert leave_limits(root) == "memory cgroup /a: left /a/b/c, which is limited"
    assert (tmp_path / "cg/memory/a/cgroup.procs").read_text() == "0"


def test_a_v2_cgroup_of_our_own_is_protected_where_it_is(tmp_path: Path) -> None:
    root = tree(
        tmp_path, V2, "0::/system/daemon\n", v2_group("system") | v2_group("system/daemon", "max", f"{os.getpid()}\n")
    )
    assert leave_limits(root) == "memory cgroup /system/daemon: memory.min 32 MiB"
    assert (tmp_path / "cg/v2/system/daemon/memory.min").read_text() == str(PROTECTED_BYTES)


def test_a_v2_cgroup_shared_with_others_or_limited_is_left_for_one_of_our_own(tmp_path: Path) -> None:
    for number, (limit, members) in enumerate((("max", "1\n"), ("1000000", f"{os.getpid()}\n"))):
        base = tmp_path / str(number)
        root = tree(base, V2, "0::/user/shell\n", v2_group("user") | v2_group("user/shell", limit, members))
        assert leave_limits(root) == f"memory cgroup /user/{NAME}: memory.min 32 MiB"
        assert (base / f"cg/v2/user/{NAME}/cgroup.procs").read_text() == "0"
        assert (base / f"cg/v2/user/{NAME}/memory.min").read_text() == str(PROTECTED_BYTES)


def test_a_machine_without_memory_cgroups_is_told_of(tmp_path: Path) -> None:
    assert leave_limits(tree(tmp_path, "", "0::/\n", {})) == "no memory cgroups"
    assert leave_limits(tree(tmp_path, V2, "0::/user\n", {"cg/v2/user/cgroup.procs": ""})) == "no memory cgroups"


def test_a_refusal_is_a_sentence(tmp_path: Path) -> None:
    files = {"cg/memory/a/memory.limit_in_bytes": "1000000"}
    root = tree(tmp_path, V1_MEMORY, "4:memory:/a\n", files)
    (tmp_path / "cg/memory/cgroup.procs").mkdir()
    assert leave_limits(root) == "own memory cgroup refused: Is a directory"


def test_no_quota_where_real_time_tasks_are_not_grouped(tmp_path: Path) -> None:
    assert take_rt_quota(tree(tmp_path, V1_CPU, "1:cpu:/\n", {"cg/cpu/cpu.shares": "1024"})) == ""
    assert take_rt_quota(tree(tmp_path / "none", "", "", {})) == ""


def test_the_quota_is_there_before_the_move(tmp_path: Path) -> None:
    files = {"cg/cpu/cpu.rt_runtime_us": "950000", f"cg/cpu/{NAME}/cpu.rt_runtime_us": "0"}
    said = take_rt_quota(tree(tmp_path, V1_CPU, "1:cpu:/\n", files))
    assert said.endswith("real-time quota 80 of 100 ms")
    own = tmp_path / "cg/cpu" / NAME
    assert [(own / f"cpu.rt_{name}_us").read_text() for name in ("runtime", "period")] == ["80000", "100000"]
    assert (own / "cgroup.procs").read_text() == "0"

"""Which mount shows a hierarchy from its root: binds of children, stacked mounts, escaped names, any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.mountinfo import (
    Mount,
    below_root,
    from_its_root,
    is_v1,
    is_v2,
    mount_of,
    parse_mountinfo,
    reachable,
)


def table(*lines: str) -> list[Mount]:
    return parse_mountinfo("\n".join(lines).encode("utf-8", "surrogateescape"))


def memory(*lines: str) -> str:
    found = from_its_root(table(*lines), lambda mount: is_v1(mount, "memory"))
    return found.point if found is not None else ""


ROOT = "20 1 8:1 / / rw - ext4 /dev/vda rw"
SYS = "30 20 0:20 / /sys/fs/cgroup rw - tmpfs none rw"
WHOLE = "35 30 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory"
CHILD = "34 20 0:32 /apps/one /run/early rw - cgroup cgroup rw,memory"


def test_a_bound_child_does_not_pass_for_the_hierarchy() -> None:
    assert memory(ROOT, SYS, CHILD, WHOLE) == memory(ROOT, SYS, WHOLE, CHILD) == "/sys/fs/cgroup/memory"


def test_in_a_container_the_shortest_root_is_taken() -> None:
    short = "36 20 0:32 /docker/4f /cg/memory rw - cgroup cgroup rw,memory"
    long = "34 20 0:32 /docker/4f/inner /early rw - cgroup cgroup rw,memory"
    assert memory(ROOT, long, short) == "/cg/memory"


def test_a_removed_cgroup_that_is_still_bound_is_left_out() -> None:
    gone = "34 20 0:32 /a//deleted /early rw - cgroup cgroup rw,memory"
    assert memory(ROOT, gone, CHILD) == "/run/early"
    assert memory(ROOT, gone) == ""


@pytest.mark.parametrize(
    "over",
    [
        "50 35 0:40 / /sys/fs/cgroup/memory rw - tmpfs none rw",  # on it
        "50 30 0:40 / /sys/fs/cgroup/memory rw - tmpfs none rw",  # later, on the same point
        "50 30 0:40 / /sys/fs/cgroup rw - tmpfs none rw",  # on the mount below it
        "50 20 0:40 / /sys/fs rw - tmpfs none rw",  # on a directory above it
        "50 20 0:40 / / rw - ext4 /dev/vdb rw",
    ],
)
def test_what_another_mount_lies_over_is_not_taken(over: str) -> None:
    elsewhere = "60 50 0:32 / /elsewhere rw - cgroup cgroup rw,memory"
    assert memory(ROOT, SYS, WHOLE, over, elsewhere) == "/elsewhere"
    assert memory(ROOT, SYS, WHOLE, over) == ""


def test_the_last_mount_on_a_point_is_what_one_reaches() -> None:
    lines = [
        WHOLE,
        "36 35 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory",
        "37 20 0:32 /a/b /x rw - cgroup none rw,memory",
    ]
    assert memory(ROOT, SYS, *lines) == "/sys/fs/cgroup/memory"
    found = mount_of(table(ROOT, SYS, *lines), "/sys/fs/cgroup/memory/one")
    assert found is not None
    assert found.number == 36


def test_a_mount_that_stands_on_a_later_line_is_reached() -> None:
    """The kernel orders by number, and a number may be used again: the parent counts, not the line."""
    above = "31 60 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    assert memory(ROOT, above, "60 20 0:41 / /sys/fs/cgroup rw - tmpfs none rw") == "/sys/fs/cgroup/memory"


def test_every_escape_of_a_name_is_undone_once() -> None:
    line = r"34 20 0:32 / /a\040b\011c\012d\134040e\043f\7777\9 rw - cgroup cgroup rw,memory"
    assert memory(line) == "/a b\tc\nd\\040e#f\\7777\\9"


def test_names_that_are_no_utf8_stay_what_they_are() -> None:
    (mount,) = parse_mountinfo(rb"34 20 0:32 / /a\303\050" + b"\xff rw - cgroup2 none rw")
    assert mount.point.encode("utf-8", "surrogateescape") == b"/a\xc3(\xff"
    assert is_v2(mount)


def test_a_cgroup_is_found_below_the_root_that_the_mount_shows() -> None:
    (whole, docker) = table(WHOLE, "36 20 0:32 /docker/4f /cg rw - cgroup cgroup rw,memory")
    assert [below_root(whole, path) for path in ("/", "/a", "/a/b")] == ["", "/a", "/a/b"]
    assert [below_root(docker, path) for path in ("/docker/4f", "/docker/4f/a", "/docker/4fa", "/")] == [
        "",
        "/a",
        None,
        None,
    ]


def test_a_thousand_mounts_are_read_in_a_moment() -> None:
    lines = [f"{100 + n} 20 0:{n} / /run/netns/{n} rw - nsfs nsfs rw" for n in range(5000)]
    assert memory(ROOT, SYS, *lines, WHOLE) == "/sys/fs/cgroup/memory"


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
paths = st.lists(names.filter(lambda name: name not in (".", "..")), max_size=4).map(
    lambda parts: "/" + "/".join(parts)
)


def escaped(path: str) -> str:
    """As seq_path() writes it."""
    return "".join(f"\\{ord(one):03o}" if one in " \t\n\\" else one for one in path)


@given(st.lists(st.tuples(paths, paths, st.sampled_from(["cgroup", "cgroup2", "ext4"])), max_size=8))
def test_whatever_the_kernel_wrote_is_read_back(wanted: list[tuple[str, str, str]]) -> None:
    lines = [
        f"{number} {number - 1} 0:{number} {escaped(root)} {escaped(point)} rw shared:1 - {kind} none rw,memory"
        for number, (root, point, kind) in enumerate(wanted, 2)
    ]
    assert [(mount.root, mount.point, mount.kind) for mount in table(*lines)] == wanted


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.sampled_from(["/", "/a", "/a/b", "/c"])), max_size=9)
)
def test_any_family_of_mounts_ends_with_someone_in_sight(family: list[tuple[int, int, str]]) -> None:
    """Loops and doubled numbers too: the last mount on the shortest point of a tree is always reached."""
    mounts = [Mount(number, parent, "/", point, "cgroup", ("memory",)) for number, parent, point in family]
    found = reachable(mounts)
    assert set(found) <= set(mounts)
    if len({number for number, _, _ in family}) == len(family) and all(parent < number for number, parent, _ in family):
        assert bool(found) == bool(mounts)


@given(st.binary(max_size=300))
def test_no_bytes_are_too_strange(data: bytes) -> None:
    mounts = parse_mountinfo(data + b"\n" + WHOLE.encode())
    assert mounts[-1].point == "/sys/fs/cgroup/memory"
    reachable(mounts)
    assert from_its_root(mounts, is_v2) is None or b"cgroup2" in data

"""Process events by BPF and by the proc connector: what is told, what is not, and that both say when they cannot."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.core.config import DomainKind
from lmkd_py.kernel.bpf.order import BpfRefused
from lmkd_py.kernel.bpf.watch import RECORD, ProcessWatch, watch_processes
from lmkd_py.kernel.bpf.watch_layout import MARKS, RING_BYTES
from lmkd_py.kernel.bpf.watch_programs import parse_format
from lmkd_py.kernel.sensing.domain.placement import Placement, placement_of
from lmkd_py.kernel.sensing.proc_connector import ProcConnector
from tests.support import IS_ROOT, REPO_ROOT, require

FLOOR = 300


@pytest.fixture(scope="module")
def board() -> Iterator[Sandbox]:
    require(IS_ROOT, "makes cgroups: needs root")
    with Sandbox(limit_mib=64) as made:
        yield made


@pytest.fixture(scope="module")
def watch(board: Sandbox) -> Iterator[ProcessWatch]:
    """Of that board, from an oom_score_adj on."""
    place = board.place
    controller = "memory" if place.kind == DomainKind.MEMCG_V1 else ""
    try:
        made = watch_processes(FLOOR, placement_of(place.memory, place.psi, controller))
    except BpfRefused as refusal:
        require(False, f"process events by BPF: {refusal}")
    yield made
    made.close()


@pytest.fixture
def connector() -> Iterator[ProcConnector]:
    try:
        made = ProcConnector()
    except OSError as error:
        require(False, f"the proc connector: {error}")
    yield made
    made.close()


def forked(work: Callable[[], object] = lambda: None) -> int:
    """A child that has done its work and ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    return pid


def breed(count: int, adj: int = 0, places: Sequence[str] = ()) -> None:
    """So many short lives, of a parent that is small and therefore quick, and in these cgroups."""
    moves = "".join(f"echo $$ > {place}; " for place in places)
    program = f"{moves} echo {adj} > /proc/self/oom_score_adj; i=0; while [ $i -lt {count} ]; do (:); i=$((i+1)); done"
    subprocess.run(["sh", "-c", program.replace("/proc/self/", "/proc/$$/")], check=True)


def enter(board: Sandbox) -> None:
    for place in board.place.places:
        Path(place).write_text(str(os.getpid()))


def set_adj(adj: int, who: str = "self") -> None:
    Path(f"/proc/{who}/oom_score_adj").write_text(str(adj))


def told_from_inside(board: Sandbox, watch: ProcessWatch, adj: int, work: Callable[[], object]) -> tuple[int, set[int]]:
    """Who did that work inside the board at that oom_score_adj, and whom the watch told of meanwhile."""
    ready, go = os.pipe(), os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            enter(board)
            set_adj(adj)
            os.write(ready[1], b".")
            os.read(go[0], 1)
            work()
        finally:
            os._exit(0)
    os.read(ready[0], 1)
    watch.drain()
    os.write(go[1], b".")
    os.waitpid(pid, 0)
    for fd in (*ready, *go):
        os.close(fd)
    pids, lost = watch.drain()
    assert not lost
    return pid, pids


def test_a_birth_in_the_domain_is_told_and_one_outside_is_not(board: Sandbox, watch: ProcessWatch) -> None:
    parent, told = told_from_inside(board, watch, FLOOR, forked)
    assert len(told - {parent}) == 1

    def is_silent() -> bool:
        watch.drain()
        return forked(lambda: set_adj(FLOOR + 1)) not in watch.drain()[0]

    assert any(is_silent() for _ in range(5))  # a pid may share its mark with one of the domain


def test_births_below_the_least_adj_and_threads_are_not_told(board: Sandbox, watch: ProcessWatch) -> None:
    def thread() -> None:
        each = threading.Thread(target=lambda: None)
        each.start()
        each.join()

    assert told_from_inside(board, watch, FLOOR - 1, forked)[1] == set()
    assert told_from_inside(board, watch, FLOOR + 1, thread)[1] == set()


def test_another_adj_is_told_also_of_who_was_born_below_the_least(board: Sandbox, watch: ProcessWatch) -> None:
    _, told = told_from_inside(board, watch, 0, lambda: forked(lambda: set_adj(FLOOR + 5)))
    assert len(told) == 1


def test_an_adj_that_was_written_through_a_thread_is_told_of_its_process(board: Sandbox, watch: ProcessWatch) -> None:
    done, pid = os.pipe(), os.fork()
    if pid == 0:
        enter(board)

        def raise_itself() -> None:
            set_adj(FLOOR + 9, "thread-self")
            os.write(done[1], b".")
            signal.pause()

        threading.Thread(target=raise_itself).start()
        signal.pause()
    os.read(done[0], 1)
    told, _ = watch.drain()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    for fd in done:
        os.close(fd)
    assert pid in told


def test_an_adj_that_a_thread_wrote_before_it_ended_is_told_of_its_process(board: Sandbox, watch: ProcessWatch) -> None:
    """By the time somebody looks nothing tells any more whose thread it was."""

    def briefly() -> None:
        each = threading.Thread(target=lambda: set_adj(FLOOR + 9, "thread-self"))
        each.start()
        each.join()

    pid, told = told_from_inside(board, watch, FLOOR - 1, briefly)
    assert told == {pid}


def test_a_process_that_renames_itself_is_told_and_a_thread_is_not(board: Sandbox, watch: ProcessWatch) -> None:
    def rename() -> None:
        Path("/proc/self/comm").write_text("renamed")

    def thread() -> None:
        each = threading.Thread(target=lambda: Path("/proc/thread-self/comm").write_text("thread"))
        each.start()
        each.join()

    pid, told = told_from_inside(board, watch, 0, rename)
    assert (watch.renamed, told) == ({pid}, set())
    pid, told = told_from_inside(board, watch, 0, thread)
    assert (watch.renamed, told) == (set(), set())


def test_coming_and_leaving_are_told_and_the_moves_of_others_are_not(board: Sandbox, watch: ProcessWatch) -> None:
    def leave() -> None:
        for directory in board.place.directories:
            (Path(directory).parent / "cgroup.procs").write_text(str(os.getpid()))

    watch.drain()
    comer = forked(lambda: enter(board))
    assert comer in watch.drain()[0]
    leaver, told = told_from_inside(board, watch, 0, leave)
    assert told == {leaver}
    with Sandbox(limit_mib=64) as other:
        watch.mark_anew([])

        def is_silent() -> bool:
            watch.drain()
            return forked(lambda: enter(other)) not in watch.drain()[0]

        assert any(is_silent() for _ in range(5))


def test_a_full_ring_says_that_something_was_lost_and_goes_on(board: Sandbox, watch: ProcessWatch) -> None:
    breed(RING_BYTES // RECORD.size + 50, FLOOR, board.place.places)
    assert watch.drain()[1]
    assert watch.drain() == (set(), False)
    parent, told = told_from_inside(board, watch, FLOOR, forked)
    assert told - {parent}


def test_marks_tell_when_they_have_become_too_many(watch: ProcessWatch) -> None:
    watch.mark_anew([])
    assert not watch.is_blurred()
    watch.mark(range(MARKS // 64 + 1))
    assert watch.is_blurred()
    watch.mark_anew(list(range(MARKS // 4)))
    assert not watch.is_blurred()
    watch.mark_anew([])


def test_a_placement_names_hierarchy_level_and_number_of_a_cgroup(board: Sandbox) -> None:
    place = board.place
    controller = "memory" if place.kind == DomainKind.MEMCG_V1 else ""
    found = placement_of(place.memory, place.psi, controller)
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    assert any(line.startswith(f"{found.hierarchy}:") for line in lines)
    assert found.cgroup_id == os.stat(place.memory).st_ino
    above = placement_of(os.path.dirname(place.memory), "", controller)
    assert found.level == above.level + 1
    assert Placement().hierarchy < 0


def test_the_fields_of_a_tracepoint_are_read_from_its_format() -> None:
    text = (
        "name: x\nformat:\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\n"
        "\tfield:char comm[16];\toffset:12;\tsize:16;\tsigned:0;\n\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n"
    )
    assert parse_format(text) == {"common_type": (0, 2), "comm": (12, 16), "pid": (8, 4)}


def test_the_connector_tells_births_and_renames_of_processes_alone(connector: ProcConnector) -> None:
    tids: list[int] = []
    connector.drain()
    child = forked()
    thread = threading.Thread(target=lambda: tids.append(threading.get_native_id()))
    thread.start()
    thread.join()
    told, lost = connector.drain()
    assert child in told
    assert not lost
    assert not told & set(tids)


def test_an_overflowing_connector_says_so_and_goes_on(connector: ProcConnector) -> None:
    breed(1000)
    assert connector.drain()[1]
    child = forked()
    assert child in connector.drain()[0]


@pytest.mark.root("makes a pid namespace")
@pytest.mark.parametrize(
    "attempt",
    [
        "from lmkd_py.kernel.bpf.watch import *; from lmkd_py.kernel.sensing.domain.placement import *;"
        "watch_processes(0, Placement())",
        "from lmkd_py.kernel.sensing.proc_connector import *; ProcConnector()",
    ],
)
def test_in_a_pid_namespace_both_say_that_they_tell_nothing_of_use(attempt: str) -> None:
    program = ["unshare", "--pid", "--fork", "--mount-proc", sys.executable, "-c", attempt]
    done = subprocess.run(program, cwd=REPO_ROOT, capture_output=True, text=True, check=False)
    require("unshare:" not in done.stderr, f"a pid namespace: {done.stderr}")
    assert done.returncode != 0
    assert "the machine's own pid namespace" in done.stderr or "bpf" in done.stderr.lower(), done.stderr

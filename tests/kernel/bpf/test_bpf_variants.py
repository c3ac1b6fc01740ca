"""The three variants on this kernel: each loads for each domain and kills by its own rule; a refusal is one line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lmkd_py.board.sandbox import Sandbox
from lmkd_py.kernel.bpf import (
    VARIANT_CURRENT,
    VARIANT_LIST,
    VARIANT_WALK,
    BpfRefused,
    Guard,
    LoggedStrike,
    Order,
    child,
    facts,
    layout,
    load_apart,
)
from tests.kernel.bpf_tools import LIMIT_MIB, close, guarded, load, rows_of, spoil, wait_events
from tests.support import REPO_ROOT, wait_until

pytestmark = [pytest.mark.pressure, pytest.mark.all_suite]

# A kernel counter of pages is a batch off on each CPU: max(32, 2 * CPUs), lib/percpu_counter.c.
RSS_SLACK_PAGES = 3 * max(32, 2 * (os.cpu_count() or 1)) * (os.cpu_count() or 1)


def told(strikes: list[LoggedStrike]) -> list[tuple[int, int, int]]:
    return [(strike.pid, strike.adj, strike.start_ticks) for strike in strikes]


def rss_pages(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1])


@pytest.mark.parametrize("variant", [VARIANT_LIST, VARIANT_CURRENT, VARIANT_WALK])
@pytest.mark.parametrize("whole_system", [True, False], ids=["system", "memcg"])
def test_each_variant_loads_for_each_domain(tmp_path: Path, variant: int, whole_system: bool) -> None:
    with Sandbox(LIMIT_MIB) as board:
        order = Order("" if whole_system else board.place.psi, variants=(variant,))
        attached = load(order, tmp_path)
        assert attached.variant == variant
        assert attached.notes == ()
        assert Guard(attached).counters() == (0,) * 7
        close(attached)


@pytest.mark.parametrize(("machine", "is_taken"), [("armv7l", False), ("i686", False), ("armv8l", True)])
def test_a_kernel_with_other_pointers_is_refused(monkeypatch: pytest.MonkeyPatch, machine: str, is_taken: bool) -> None:
    here = os.uname()
    monkeypatch.setattr(os, "uname", lambda: os.uname_result((*here[:4], machine)))
    with pytest.raises(BpfRefused) as refused:
        child.build(Order("/no/such/cgroup"), "", "")
    assert is_taken != str(refused.value).startswith(f"a 32-bit kernel ({machine}); needs a 64-bit one")


def test_the_list_is_preferred(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board:
        attached = load(Order(board.place.psi), tmp_path)
        assert attached.variant == VARIANT_LIST
        close(attached)


def test_what_the_log_says_of_a_victim_is_what_proc_said(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path) as (guard, _):
        app = board.start_app("told", 937, 8)
        wait_until("the app has its memory", lambda: rss_pages(app.pid) > 3 * 1024)  # its 8 MiB are there
        said, pages = rows_of([app]), rss_pages(app.pid)
        guard.publish([(app.pid, 0, said[0][2])])  # its adj is read from the process, not from the list
        board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("1 rows are used up", lambda: guard.head() == 1)
        (strike,) = guard.strikes(0)
        assert told([strike]) == said
        assert abs(strike.rss_pages - pages) <= RSS_SLACK_PAGES + pages // 2  # its file pages are what was reclaimed
        assert strike.kick_ns + 50_000_000 < strike.at_ns


def test_the_walk_takes_the_highest_adj_of_the_domain_then_the_largest(tmp_path: Path) -> None:
    with Sandbox(LIMIT_MIB) as board, guarded(board, tmp_path, variants=(VARIANT_WALK,)) as (guard, _):
        outside = board.start_app("outside", 1000, 1, outside=True)
        small, large = board.start_app("small", 930, 1), board.start_app("large", 930, 12)
        low, high = board.start_app("low", 900, 1), board.start_app("high", 960, 1)
        kept = board.start_app("kept", 899, 12)
        wanted = rows_of([high, large, small, low])
        thrashers = board.start_thrashers(2)
        guard.arm(layout.STRIKE)
        wait_until("there are 4 strikes", lambda: guard.counters().strikes == 4)
        assert told(guard.strikes(0)) == wanted
        wait_events(guard, 300)
        assert guard.counters().strikes == 4
        assert all(app.is_alive() for app in (outside, kept, *thrashers))


def test_a_user_without_rights_is_refused_with_one_line(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    program = (
        f"import os, sys; sys.path.insert(0, {str(REPO_ROOT)!r})\n"
        "from lmkd_py.kernel.bpf import BpfRefused, Order, child, load_apart\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try:\n    load_apart(Order(''), '', '')\nexcept BpfRefused as refusal:\n    print(refusal)\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert line.endswith("Operation not permitted; needs root, or CAP_BPF and CAP_PERFMON "
                         "(on Android only bpfloader may load programs)")  # fmt: skip


def test_another_pid_namespace_is_told_and_struck_by_the_reclaiming_task(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(REPO_ROOT)!r})\n"
        "from lmkd_py.kernel.bpf import Order, load_apart\n"
        f"attached = load_apart(Order(''), {str(tmp_path)!r}, '')\n"
        "print(attached.variant, *attached.notes)\n"
    )
    command = ["unshare", "--pid", "--fork", sys.executable, "-I", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    wanted = "this process has a pid namespace of its own; BPF needs the pids of the initial one"
    assert done.stdout == f"{VARIANT_CURRENT} list: {wanted}\n"


def test_a_missing_tracefs_is_mounted_for_the_loading_process_alone(tmp_path: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(REPO_ROOT)!r})\n"
        "from lmkd_py.kernel.bpf import Order, load_apart\n"
        "from lmkd_py.kernel.sensing.mounts import mount_points\n"
        "before = mount_points('tracefs')\n"
        f"attached = load_apart(Order(''), {str(tmp_path)!r}, '')\n"
        "print(attached.variant, before, mount_points('tracefs'))\n"
    )
    without = "while umount /sys/kernel/tracing || umount /sys/kernel/debug/tracing; do :; done 2>/dev/null; "
    command = ["unshare", "--mount", "sh", "-c", without + 'exec "$@"', "sh", sys.executable, "-I", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{VARIANT_LIST} [] []\n"


def refusal(order: Order, cache: Path) -> str:
    with pytest.raises(BpfRefused) as caught:
        load_apart(order, str(cache), "")
    (line,) = str(caught.value).splitlines()
    return line


def test_a_domain_that_is_none_is_refused_with_one_line(tmp_path: Path) -> None:
    assert "No such file or directory; wanted its v2 directory" in refusal(Order(str(tmp_path / "none")), tmp_path)
    assert "wanted a cgroup v2 directory" in refusal(Order(str(tmp_path)), tmp_path)


def test_an_object_that_is_none_is_refused_with_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = tmp_path / "strike.o"
    monkeypatch.setattr(child, "OBJECT", str(bad))
    assert "No such file" in refusal(Order(""), tmp_path)
    bad.write_bytes(b"not an object")
    assert "BPF object" in refusal(Order(""), tmp_path)


def test_a_program_the_verifier_refuses_is_passed_over_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoil(monkeypatch, lambda _, code: b"\x85\x20" in code)  # those that call the kernel
    with Sandbox(LIMIT_MIB) as board:
        attached = load_apart(Order(board.place.psi), str(tmp_path), "")
        assert attached.variant == VARIANT_CURRENT
        (note,) = attached.notes
        assert note.startswith("list: the verifier says: ")
        close(attached)


def test_a_kernel_without_the_function_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = facts.facts_of_this_kernel

    def older(cache_dir: str) -> facts.KernelFacts:
        found = real(cache_dir)
        return found._replace(functions=(0,) * len(found.functions))

    monkeypatch.setattr(child, "facts_of_this_kernel", older)
    wanted = "this kernel has no bpf_send_signal_task; needs Linux 6.13"
    line = refusal(Order("", variants=(VARIANT_LIST, VARIANT_WALK)), tmp_path)
    assert line == f"this kernel accepts no strike program: list: {wanted}; walk: {wanted}"
    attached = load_apart(Order(""), str(tmp_path), "")
    assert (attached.variant, attached.notes) == (VARIANT_CURRENT, (f"list: {wanted}",))
    close(attached)


def test_the_caller_neither_grows_nor_keeps_what_only_loading_needs(tmp_path: Path) -> None:
    program = (
        f"import os, sys; sys.path.insert(0, {str(REPO_ROOT)!r})\n"
        "from lmkd_py.kernel.bpf import Order, load_apart\n"
        "before = len(os.listdir('/proc/self/fd'))\n"
        f"attached = load_apart(Order(''), {str(tmp_path)!r}, '')\n"
        "print(len(os.listdir('/proc/self/fd')) - before - 4 - len(attached.link_fds))\n"
        "print([name for name in sys.modules if name.endswith(('.btf', '.elf', '.child', '.calls'))])\n"
        "print(all(not os.get_inheritable(fd) for fd in (*attached[1:5], *attached.link_fds)))\n"
        "try:\n    os.waitpid(-1, os.WNOHANG)\nexcept ChildProcessError:\n    print('no child')\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["0", "[]", "True", "no child"]

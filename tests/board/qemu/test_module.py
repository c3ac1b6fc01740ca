"""Layer 4 on emulated ARM boards: who is granted PF_MEMALLOC, and what it is worth when nothing is left.

The module is built from device/module for the board's own kernel. Programs of tests/board/onboard do the work over
there; what they count is the kernel's word on the killer's own thread.
"""

from __future__ import annotations

import pytest

from lmkd_py.board.qemu import modules
from lmkd_py.daemon.inherited import EXIT_KERNEL_LACKS, EXIT_STOPPED
from lmkd_py.host.doctor import GOOD, NOTE
from lmkd_py.kernel.protection.memalloc import DEVICE
from tests.board.module_boards import LAYER, ModuleBoard

pytestmark = pytest.mark.board
PROFILES = ["board", "new"]


@pytest.mark.parametrize("arm", PROFILES, indirect=True)
def test_the_flag_is_one_threads_alone_needs_the_capability_and_ends(arm: ModuleBoard) -> None:
    said = arm.answers("window")
    said.pop("status")
    yes, no, is_set, is_not = "True", "False", "1", "0"
    assert no not in {word for words in said.values() for word in words}
    assert said == {
        "default_limit_ms": ("1000",),
        "closed": (is_not,),
        "set": ("0", is_set),
        "again": ("0", is_set),
        "cleared": ("0", is_not),
        "cleared_again": ("0", is_not),
        "nonsense": (yes,),
        "without_capability": ("1",),
        "as_user": ("1",),
        # the other thread's flag or answer, then ours
        "other_thread": (is_not, is_set),
        "other_threads_set": (yes, is_set),
        "other_threads_clear": ("0", is_set),
        "second_file": (yes, is_set),
        "second_closed": (is_set,),
        "closed_by_owner": (is_not,),
        "thread_that_ended": ("0", "0", is_set),
        "closed_by_another": (is_not,),
        # the child's, then ours
        "fork": (is_not, is_set),
        "fork_of_fork": (is_not, is_set),
        "clone_thread": (is_not, is_set),
        "spawn": (is_not, is_set),
        "child_closes": ("0", is_set),
        "exec": (is_not, is_set),
        "still": ("0", is_not),
        "limit": (is_not, yes, "0", is_set),
        "no_limit": (is_set, "0"),
    }


@pytest.mark.parametrize("arm", PROFILES, indirect=True)
def test_check_and_doctor_see_it_and_a_module_in_use_stays(arm: ModuleBoard) -> None:
    assert (arm.doctor_before, arm.doctor()) == (NOTE, GOOD)
    run = f"PYTHONPATH={arm.service.layout.current} python3 -m lmkd_py.daemon"
    assert "memalloc_window: yes" in arm.must(f"{run} check").splitlines()
    arm.service.start(observe=True)
    assert int(arm.service.status()["layers"]) & LAYER
    assert arm.must("rmmod lmkd_memalloc 2>/dev/null; grep -c ^lmkd_memalloc /proc/modules") == "1"
    arm.service.stop()


@pytest.mark.parametrize("arm", PROFILES, indirect=True)
def test_a_daemon_that_must_have_it_starts_with_the_module_and_not_without(arm: ModuleBoard) -> None:
    (refusal, code) = arm.required_before
    assert code == str(EXIT_KERNEL_LACKS)
    assert refusal.startswith(
        "lmkd-py: layers of the memory guarantee: active 0, 1, 2, 3, wanted 0 to 4; layer 4 is not"
    )
    assert f"no {DEVICE}" in refusal
    assert "insmod lmkd_memalloc.ko" in refusal
    *said, armed, code = arm.require_layer()
    assert (armed.split()[0], code) == ("armed:", str(EXIT_STOPPED)), said


@pytest.mark.parametrize("arm", ["board"], indirect=True)
def test_no_call_of_a_killer_with_the_window_reclaims_and_without_it_those_that_need_pages_do(arm: ModuleBoard) -> None:
    arm.must(f"[ -c /dev/lmkd_drain ] || insmod /tmp/{modules.TEST}")
    said = arm.program("drain", 50, 15)
    print(*(" ".join(words) for words in said if words[0] in ("oom_kills", "exit")))
    cells = {(words[1], words[2] == "1"): words[3:] for words in said if words[0] == "cell"}
    for (name, window), words in cells.items():  # with -s: the table of device/module/README.md
        print(name, "window" if window else "none", *words)
    counts = {key: tuple(map(int, words[:5])) for key, words in cells.items()}
    names = {name for name, _ in counts}
    assert names == {"ours", "open", "scan", "map", "pipe", "page", "four_pages"}
    for name in names:
        turns, reclaims, _, struck, decided = counts[name, True]
        # Where nobody reclaimed since the wakeup before, policy leaves it at that; when it says kill, one is struck.
        assert turns == 50
        assert struck == decided >= 45, name
        assert reclaims == 0, f"{name}: {reclaims} direct reclaims of the killer with the window open"
        assert counts[name, False][0] == 15
        assert counts[name, False][3] == counts[name, False][4] >= 12, name
    # Our own path needs no page: with the window or without, nothing makes it reclaim.
    assert counts["ours", False][1] == 0
    assert sum(counts[name, False][1] for name in names - {"ours"}) > 0
    assert counts["page", False][1] > 0
    # Two system calls for the window, none without it.
    assert counts["ours", True][2] == 2 * 50
    assert counts["ours", False][2] == 0

"""Domains on the running kernel."""

from __future__ import annotations

import os

import pytest

from lmkd_py.core.config import DomainConfig, MonitorConfig, with_settings
from lmkd_py.core.snapshot import NO_OUTCOME, Outcome
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.kernel.probe import probe
from lmkd_py.kernel.sensing.domain import open_domain
from lmkd_py.kernel.sensing.mounts import cgroup_v2_root, memcg_v1_root
from tests.kernel.cgroups import HOLD, Pen
from tests.support import IS_ROOT, require, wait_until


def test_the_whole_system_here_has_every_counter_but_those_of_absent_features() -> None:
    domain = open_domain(MonitorConfig())
    outcome = Outcome(42, 900, 7, 5, 0, 1)
    snapshot = domain.sample(1234, 2, 1, outcome, 1, 1)
    optional = {"cma_free_kb", "vendor_reason", "vendor_min_adj", "metered_level", "event_stall_us"}
    optional |= {"event_threshold_us", "refault_anon_pages", "watermark_boost_pages", "zram_stored_kb", "zram_used_kb"}
    optional |= {"zram_swap_kb", "zram_limit_kb"}
    absent = {name for name, value in zip(snapshot._fields, snapshot, strict=True) if value == ABSENT}
    if probe().psi:
        assert absent <= optional
    assert snapshot.outcome is outcome
    pages = os.sysconf("SC_PHYS_PAGES") * snapshot.page_kb
    assert abs(snapshot.mem_total_kb - pages) <= pages // 10
    assert 0 < snapshot.watermark_min_pages <= snapshot.watermark_low_pages <= snapshot.watermark_high_pages
    assert os.getpid() in domain.members()
    assert domain.oom_kills() >= 0
    assert all(os.get_inheritable(fd) is False for fd in domain.fds())
    domain.close()


def test_a_v1_cgroup_sees_its_members_grow_and_go() -> None:
    with Pen("live") as pen:
        domain = open_domain(pen.monitor)
        empty = domain.sample(1, 1, 1, NO_OUTCOME, 0, 1)
        assert (empty.mem_total_kb, domain.members()) == (65536, [])
        (pen.directory / "inner").mkdir()
        holder = pen.start(HOLD, "24", nested="inner")
        full = domain.sample(2, 1, 1, NO_OUTCOME, 0, 1)
        assert domain.members() == [holder.pid]
        assert empty.mem_free_kb - full.mem_free_kb >= 24 * 1024
        assert full.active_anon_kb >= 23 * 1024  # the kernel adds up its page lists in batches, so they lag a little
        pen.stop(holder)

        def anon_kb() -> int:
            return domain.sample(3, 1, 1, NO_OUTCOME, 0, 1).active_anon_kb

        wait_until("its memory is given back", lambda: anon_kb() < 4096, seen=anon_kb)
        after = domain.sample(4, 1, 1, NO_OUTCOME, 0, 1)
        assert after.mem_free_kb > full.mem_free_kb + 16 * 1024
        assert domain.oom_kills() == 0
        domain.close()


def test_a_domain_that_is_removed_is_gone_and_absent_and_named() -> None:
    with Pen("gone") as pen:
        domain = open_domain(pen.monitor)
        assert domain.sample(1, 1, 1, NO_OUTCOME, 0, 1).mem_total_kb == 65536
        assert domain.gone == 0
        pen.directory.rmdir()
        snapshot = domain.sample(2, 1, 1, NO_OUTCOME, 0, 1)
        assert domain.gone == 1
        assert snapshot.mem_free_kb == snapshot.nr_active_file_pages == snapshot.watermark_high_pages == ABSENT
        with pytest.raises(OSError, match=str(pen.directory)):
            domain.members()
        with pytest.raises(FileNotFoundError, match=str(pen.directory)):
            open_domain(pen.monitor)
        domain.close()
        pen.directory.mkdir()  # for the pen to undo


def test_a_limit_changed_while_guarding_counts_at_the_next_sample() -> None:
    with Pen("limit") as pen:
        domain = open_domain(pen.monitor)
        (pen.directory / "memory.limit_in_bytes").write_text(str(32 << 20))
        snapshot = domain.sample(1, 1, 1, NO_OUTCOME, 0, 0)
        assert (snapshot.mem_total_kb, snapshot.watermark_high_pages) == (32768, 32768 // snapshot.page_kb * 6 // 100)
        domain.close()


def test_a_cgroup_without_the_memory_controller_is_refused_by_name() -> None:
    root = cgroup_v2_root()
    require(root and IS_ROOT, "needs a v2 hierarchy and root")
    with Pen("bare") as pen:
        require(not (pen.twin / "memory.current").exists(), "this host has the memory controller on v2, wanted on v1")
        with pytest.raises(FileNotFoundError, match=r"memory\.current.*controller not enabled"):
            open_domain(MonitorConfig(domain=DomainConfig(kind=2, path=str(pen.twin))))


def test_a_missing_twin_is_refused_by_name() -> None:
    with Pen("twin") as pen, pytest.raises(FileNotFoundError, match="no-such-twin"):
        open_domain(with_settings(pen.monitor, domain={"psi_path": str(pen.twin / "no-such-twin")}))


def test_features_are_what_trying_them_shows() -> None:
    features = probe()
    assert features.pidfd == 1
    assert (features.memcg_version == 1) == bool(memcg_v1_root())
    if IS_ROOT:
        assert features.mlockall == 1
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # what was tried on a child has not changed us
    assert os.path.exists("/proc/pressure/memory") or features.psi == 0

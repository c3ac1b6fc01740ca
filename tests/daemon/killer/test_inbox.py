"""Steward to killer: records through shared memory, descriptors through a socket, in order, none lost, none leaked."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmkd_py.core.config import PolicyConfig
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon import shared as layout
from lmkd_py.daemon.killer.roster import NOBODY
from lmkd_py.daemon.shared import INBOX_OFFSET, INBOX_SLOTS, POLICY_OFFSET
from lmkd_py.daemon.steward.candidates.outbox import KICK_AT
from tests.daemon.pair import Pair


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.close()


def test_a_candidate_arrives_with_its_own_descriptor(pair: Pair, tmp_path: object) -> None:
    for row in range(3):
        with open(f"{tmp_path}/{row}", "w") as file:
            file.write(str(row))
        pair.add(row, path=f"{tmp_path}/{row}")
    pair.carry()
    for row in range(3):
        assert pair.roster.pid[row] == 1000 + row
        assert os.pread(pair.roster.pidfd[row], 8, 0) == str(row).encode()


def test_more_records_than_slots_all_arrive_in_order(pair: Pair) -> None:
    rows = 3 * INBOX_SLOTS + 17
    for row in range(rows):
        pair.add(row)
    pair.carry()
    assert [pair.roster.pid[row] for row in range(rows)] == list(range(1000, 1000 + rows))
    assert pair.roster.fds_held == pair.shared.words[layout.FDS_HELD] == rows


def test_nothing_leaks_when_the_killer_never_drains(pair: Pair) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for row in range(2 * INBOX_SLOTS):
        pair.add(row)
    while not pair.outbox.backlog or pair.outbox.flush():
        pass
    pair.outbox.discard()
    pair.inbox.drain()
    for row in range(pair.roster.rows):
        pair.roster.drop(row)
    assert len(os.listdir("/proc/self/fd")) <= before + len(pair.inbox._fds)


def test_a_policy_comes_into_force_as_a_whole(pair: Pair) -> None:
    wanted = PolicyConfig(thrashing_limit_pct=7, lowmem_min_adj=900)
    pair.outbox.put_policy(wanted, 2)
    assert pair.inbox.policy == PolicyConfig()
    pair.carry()
    assert pair.inbox.policy == wanted
    assert pair.inbox.generation == 2


@pytest.mark.parametrize("byte", [0, 9, layout.POLICY_BYTES - 1])
def test_a_policy_that_is_not_wholly_visible_is_left_to_the_next_record(pair: Pair, byte: int) -> None:
    pair.outbox.put_policy(PolicyConfig(lowmem_min_adj=900), 2)
    pair.shared.map[POLICY_OFFSET + byte] ^= 0xFF  # another one is half written
    pair.carry()
    assert (pair.inbox.policy, pair.inbox.generation) == (PolicyConfig(), 1)
    pair.outbox.put_policy(PolicyConfig(lowmem_min_adj=800), 3)
    pair.carry()
    assert (pair.inbox.policy.lowmem_min_adj, pair.inbox.generation) == (800, 3)


@given(st.tuples(*[st.integers(-(2**63), 2**63 - 1)] * len(PolicyConfig._fields)), st.integers(0, 2**62))
def test_any_policy_arrives_as_it_was_sent(values: tuple[int, ...], generation: int) -> None:
    pair = Pair()
    try:
        pair.outbox.put_policy(PolicyConfig(*values), generation)
        pair.carry()
        assert (pair.inbox.policy, pair.inbox.generation) == (PolicyConfig(*values), generation)
    finally:
        pair.close()


def test_a_record_that_is_not_wholly_visible_waits(pair: Pair) -> None:
    pair.add(0)
    pair.outbox.flush()
    at = INBOX_OFFSET + 20  # somewhere in the record: as if another CPU had not seen that store yet
    true = pair.shared.map[at]
    pair.shared.map[at] = true ^ 0xFF
    assert pair.inbox.drain() == 0
    assert pair.roster.pidfd[0] == NOBODY
    pair.shared.map[at] = true
    assert pair.inbox.drain() == 1


def test_only_new_descriptors_wake_the_killer(pair: Pair) -> None:
    pair.add(0)
    pair.carry()
    os.read(pair.kick, 8)
    pair.outbox.put(layout.MOVE, 0, (0, 0, 100, 0, 0, 9, 0))
    pair.outbox.flush()
    with pytest.raises(BlockingIOError):
        os.read(pair.kick, 8)
    pair.carry()
    assert pair.roster.adj[0] == 100


def test_no_wakeup_for_a_kill_has_many_records_to_read_first(pair: Pair) -> None:
    pair.add(0)
    pair.carry()
    os.read(pair.kick, 8)
    for turn in range(1, KICK_AT):
        pair.outbox.put(layout.MOVE, 0, (0, 0, turn, 0, 0, 9, 0))
        pair.outbox.flush()
    with pytest.raises(BlockingIOError):
        os.read(pair.kick, 8)
    pair.outbox.put(layout.MOVE, 0, (0, 0, 500, 0, 0, 9, 0))
    pair.outbox.flush()
    os.read(pair.kick, 8)
    assert pair.inbox.drain() == KICK_AT
    assert pair.roster.adj[0] == 500


def test_the_killers_copy_outlives_the_stewards(pair: Pair) -> None:
    child = os.fork()
    if child == 0:
        signal.pause()
    pidfd = os.pidfd_open(child)
    pair.outbox.put(layout.ADD, 0, (child, 0, 900, ABSENT, 7, 0, 0), (pidfd,))
    pair.carry()
    signal.pidfd_send_signal(pair.roster.pidfd[0], signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL


def test_descriptors_that_do_not_all_come_end_the_killer_rather_than_mix_up_candidates(pair: Pair) -> None:
    import resource

    pair.add(0)
    pair.add(1)
    pair.outbox.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    highest = max(int(name) for name in os.listdir("/proc/self/fd"))
    spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(highest)]  # no gap below the limit but one
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(spare) + 2, hard))
    try:
        with pytest.raises(OSError, match="1 descriptors came"):
            pair.inbox.drain()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for fd in spare:
            os.close(fd)

"""A real steward in the test's own process, with five processes to look after and a killer that only takes notes."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lmkd_py.core.config import Config, DiscoveryConfig, GuaranteeConfig, MonitorConfig, PolicyConfig
from lmkd_py.core.snapshot import Outcome
from lmkd_py.core.vocabulary import ABSENT
from lmkd_py.daemon.killer.ring import Ring
from lmkd_py.daemon.steward.candidates import candidate_events
from lmkd_py.daemon.steward.killers.keeper import Killer
from lmkd_py.daemon.steward.killers.kernel_strike import KernelStrike
from lmkd_py.daemon.steward.steward import Steward
from lmkd_py.kernel.acting.syscalls import eventfd, pidfd_open
from lmkd_py.kernel.protection.reserve import Reserve
from tests.analysis.paper import PaperKiller
from tests.daemon.pair import Pair


class Members:
    """A domain whose members the test names; everything else is the real one's."""

    def __init__(self, real: object) -> None:
        self.real = real
        self.pids: list[int] = []

    def members(self) -> list[int]:
        return list(self.pids)

    def among(self, pids: set[int]) -> set[int]:
        return pids.intersection(self.pids)

    def __getattr__(self, name: str) -> object:
        return getattr(self.real, name)


class PaperKillerProcess(Killer):
    """The steward's side of a killer whose own side the test carries out."""

    def __init__(self, pair: Pair) -> None:
        super().__init__(os.getpid(), pidfd_open(os.getpid()), pair.shared, pair.outbox, True)
        self.pair = pair

    def wait_end(self, timeout_s: float) -> bool:
        self.pair.inbox.drain()
        return False


ROUNDS_OF_OTHERS = 30
LISTENS_S = 0.5


class Rig:
    """A real steward with five processes to look after, in this process."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True)
        self.root = root
        self.pair = Pair()
        self.notify = eventfd()
        self.killer = PaperKillerProcess(self.pair)
        monitor = MonitorConfig(
            discovery=DiscoveryConfig(scan=1, sized_candidates=8), guarantee=GuaranteeConfig(rt_priority=0)
        )  # or this very process gets a quota
        kernel_strike = KernelStrike(monitor, "", None, "not here")
        config = Config(PolicyConfig(), monitor)
        self.reserve = Reserve(0)
        self.steward = Steward(str(root), config, False, 16, self.killer, self.notify, kernel_strike, self.reserve)
        self.members = Members(self.steward.domain)
        self.steward.discovery.domain = self.members  # type: ignore[assignment]
        self.paper = PaperKiller()
        self.ring = Ring(self.pair.shared, self.notify)
        self.adjs: dict[int, int] = {}
        for adj in (900, 700, 500):
            self.add(adj)
        self.steward.begin(None)
        self.settle()

    def add(self, adj: int) -> int:
        pid = os.fork()
        if not pid:
            signal.pause()
            os._exit(0)
        Path(f"/proc/{pid}/oom_score_adj").write_text(str(adj))
        self.adjs[pid] = adj
        self.members.pids.append(pid)
        return pid

    def bury(self, pid: int) -> None:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        del self.adjs[pid]
        self.members.pids.remove(pid)

    def happen(self) -> None:
        """Everything at once: one dies, one becomes more expendable, two come, the killer has struck twice."""
        first, second, third = list(self.adjs)
        self.bury(second)
        Path(f"/proc/{first}/oom_score_adj").write_text("950")
        self.adjs[first] = 950
        self.add(600)
        self.add(800)
        for _ in range(2):
            self.ring.write(self.paper.wakeup()._replace(outcome=Outcome(third, 500, ABSENT, 1, 0, 1)))
        self.ring.notify()

    def settle(self) -> None:
        """Run the loop until nothing is left to do.

        Other tests make processes all the time, and whoever listens to the machine hears of each: once that alone has
        been the matter for ROUNDS_OF_OTHERS turns, what concerns us has been taken in.
        """
        events, of_others = self.steward.events, 0
        for _ in range(200):
            self.pair.inbox.drain()
            # What happens is listened to again a while after it was last, however short the gaps of a test are.
            soon = 0 <= events.patience_s(-1.0) <= max(candidate_events.SCAN_GAP_S, LISTENS_S)
            up = {fd for fd, _ in self.steward.epoll.poll(0)}
            ours = self.steward.catch_up_due or self.pair.outbox.backlog or up - {events.fd}
            of_others = 0 if ours else of_others + 1
            if not (ours or soon or up) or of_others > ROUNDS_OF_OTHERS:
                return
            self.steward.run_once()
        raise AssertionError("it never comes to rest")

    def known(self) -> dict[int, tuple[int, bool]]:
        """What the killer knows: adj, and whether it can read sizes, by pid."""
        roster = self.pair.roster
        rows = [row for row in range(roster.rows) if roster.pidfd[row] >= 0]
        assert len(rows) == len({roster.pid[row] for row in rows})
        return {roster.pid[row]: (roster.adj[row], roster.statm_fd[row] >= 0) for row in rows}

    def close(self) -> None:
        for pid in list(self.adjs):
            self.bury(pid)
        steward = self.steward
        steward.journal.close()
        steward.control.close()
        steward.candidates.outbox = None
        for pid in list(steward.candidates.processes):
            steward.candidates.remove(pid)
        steward.events.close()
        steward.discovery.close()
        steward.domain.close()
        steward.swaps.close()
        if steward.deferred.pool.host is not None:
            steward.deferred.pool.host.close()
        self.reserve.close()
        steward.close()
        for fd in self.pair.inbox._fds:
            os.close(fd)
        self.pair.close()
        os.close(self.killer.pidfd)
        os.close(self.notify)

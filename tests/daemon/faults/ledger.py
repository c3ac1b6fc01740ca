"""Who was born, who died and by whose hand, as the board and an outside observer saw it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from lmkd_py.board.apps import App
from tools.observer import SI_KERNEL, Kill, Observer

BY_ITSELF, BY_US, BY_STRIKE = "by itself", "by us", "by the kernel's strike"


class Birth(NamedTuple):
    """One process of the board. adj is what it has all its life."""

    number: int
    app: App
    begun_ns: int  # nobody of this pid was ours just before
    born_ns: int  # it is in its place, at its adj


class Death(NamedTuple):
    """A death that was ordered: the SIGKILL counts, not when the kernel is done with the dying."""

    birth: Birth
    at_ns: int
    by: str  # "killer PID", or one of the words above


class Killers:
    """Which processes were our killers, and when: their pids, too, come again."""

    def __init__(self, started: Iterable[tuple[int, int]], seen: Observer) -> None:
        """started: (pid, ns) of each, before it went live."""
        ends: dict[int, list[int]] = {}
        for end in seen.exits():  # of its first thread: who another one belonged to is asked too late
            ends.setdefault(end.tid, []).append(end.time_ns)
        self._lives: dict[int, list[tuple[int, int]]] = {}
        for pid, begin_ns in started:
            end_ns = next((each for each in ends.get(pid, []) if each > begin_ns), 1 << 63)
            self._lives.setdefault(pid, []).append((begin_ns, end_ns))

    def sent(self, kill: Kill) -> bool:
        """Whether one of them struck here."""
        lives = self._lives.get(kill.sender_tid, [])  # its first thread strikes
        return kill.code != SI_KERNEL and any(begin <= kill.time_ns <= end for begin, end in lives)


class Ledger:
    """Births are told, deaths are read from the observer. Pids come again: who one was is a question of the time."""

    def __init__(self) -> None:
        self.births: list[Birth] = []
        self._of_pid: dict[int, list[Birth]] = {}

    def born(self, app: App, begun_ns: int, born_ns: int) -> None:
        """Enter an app that was started between these two times."""
        birth = Birth(len(self.births), app, begun_ns, born_ns)
        self.births.append(birth)
        self._of_pid.setdefault(app.pid, []).append(birth)

    def whose(self, pid: int, at_ns: int) -> Birth | None:
        """The last one of ours that had this pid then."""
        return next((each for each in reversed(self._of_pid.get(pid, [])) if each.begun_ns <= at_ns), None)

    def signals(self, seen: Observer, killers: Killers) -> list[Kill]:
        """Every SIGKILL that one of our killers sent, to whomever, and every one that the kernel sent to our own."""
        oom = set(seen.oom_victims())
        return [
            each
            for each in seen.kills()
            if killers.sent(each) or (each.code == SI_KERNEL and self._is_alive(each) and each.victim_pid not in oom)
        ]

    def _is_alive(self, kill: Kill) -> bool:
        birth = self.whose(kill.victim_pid, kill.time_ns)
        return birth is not None and kill.victim_comm == birth.app.name[:15]

    def deaths(self, seen: Observer, killers: Killers) -> dict[int, Death]:
        """The first reason for which each of ours died, by the number of its birth."""
        found: dict[int, Death] = {}
        for kill in seen.kills():
            birth = self.whose(kill.victim_pid, kill.time_ns)
            if birth is None or birth.number in found or kill.victim_comm != birth.app.name[:15]:
                continue
            by = f"killer {kill.sender_tid}" if killers.sent(kill) else BY_US
            found[birth.number] = Death(birth, kill.time_ns, BY_STRIKE if kill.code == SI_KERNEL else by)
        for end in seen.exits():
            birth = self.whose(end.tid, end.time_ns)
            if birth is not None and birth.number not in found and end.comm == birth.app.name[:15]:
                found[birth.number] = Death(birth, end.time_ns, BY_ITSELF)
        return found

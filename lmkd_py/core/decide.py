"""The policy as pure functions: decide() == conclude(judge()). No clock, no file, no global; never raises.

The killer runs judge(), gathers candidates of the tiers the verdict names and runs conclude(); replay runs decide()
on the recorded snapshot, which holds the candidates. Memory is the PolicyState passed in and handed back.
"""

from __future__ import annotations

from .config import PolicyConfig
from .decision import Decision, Judgement
from .judge import judge
from .numbers import KILL
from .snapshot import Candidate, Snapshot
from .state import PolicyState
from .victims import rank

__all__ = ["conclude", "decide", "judge"]


def decide(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Decision:
    """The whole decision for one wakeup; snapshot.candidates must hold whoever the verdict may reach."""
    return conclude(judge(snapshot, state, config), snapshot.candidates, config)


def conclude(judgement: Judgement, candidates: tuple[Candidate, ...], config: PolicyConfig) -> Decision:
    """The second half: rank the candidates by the verdict; nobody where no verdict stands."""
    if judgement.action != KILL:
        return Decision(judgement, ())
    return Decision(judgement, rank(candidates, judgement.min_adj, config))

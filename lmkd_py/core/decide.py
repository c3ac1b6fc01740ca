"""The policy as pure functions: decide() == conclude(judge()). No clock, no file, no global; never raises.

The killer runs judge(), gathers candidates of the tiers the verdict names and runs conclude(); replay runs decide()
on the recorded snapshot, which holds the candidates. Memory is the PolicyState passed in and handed back.
"""

from __future__ import annotations

from .config import PolicyConfig
from .decision import Decision, Judgement
from .evaluate import evaluate
from .polling import Request
from .snapshot import Candidate, Snapshot
from .state import PolicyState
from .victims import rank
from .vocabulary import ABSENT, Action, Compat, KillReason, Level, ReclaimState, WakeupKind, Watermark
from .watermarks import noted

# Plain ints: comparing IntEnum members costs a call each.

_EVENT = int(WakeupKind.EVENT)
_POLL = int(WakeupKind.POLL)
_ZONEINFO = int(WakeupKind.ZONEINFO)
_LOW_LEVEL = int(Level.LOW)
_NO_RECLAIM = int(ReclaimState.NONE)
_UNBREACHED = int(Watermark.NONE)
_NO_REASON = int(KillReason.NONE)
_AOSP = int(Compat.AOSP)
_IGNORED = int(Action.IGNORED)
_PENDING = int(Action.PENDING)
_NONE = int(Action.NONE)
_KILL = int(Action.KILL)
_UNREADABLE = int(Action.UNREADABLE)


def decide(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Decision:
    """The whole decision for one wakeup; snapshot.candidates must hold whoever the verdict may reach."""
    return conclude(judge(snapshot, state, config), snapshot.candidates, config)


def conclude(judgement: Judgement, candidates: tuple[Candidate, ...], config: PolicyConfig) -> Decision:
    """The second half: rank the candidates by the verdict; nobody where no verdict stands."""
    if judgement.action != _KILL:
        return Decision(judgement, ())
    return Decision(judgement, rank(candidates, judgement.min_adj, config))


def judge(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> Judgement:
    """The first half: settle the last strike, derive the signals, climb the ladder. Candidates are not looked at."""
    kind = snapshot.kind
    state = _settled(snapshot, state, config)
    if kind == _ZONEINFO:
        return _early(_NONE, Request.KEEP, noted(snapshot, state))
    if kind == _EVENT:
        if snapshot.level < state.level_filter:
            return _early(_IGNORED, Request.KEEP, state)
        if snapshot.level != state.level_filter:
            state = state._replace(level_filter=snapshot.level)
    elif kind == _POLL and state.level_filter:
        state = state._replace(level_filter=_LOW_LEVEL)
    if snapshot.victim_alive > 0:
        waited_ms = snapshot.now_ms - state.struck_ms
        if config.kill_timeout_ms == 0 or waited_ms < config.kill_timeout_ms:
            return _early(_PENDING, Request.KEEP, state)
    if kind == _EVENT and snapshot.level <= _LOW_LEVEL:
        return _early(_NONE, Request.START, state)  # some reclaim goes on somewhere: look at it for a second
    if snapshot.mem_free_kb < 0 or snapshot.page_kb < 1:
        return _early(_UNREADABLE, Request.KEEP, state)
    return evaluate(snapshot, state, config)


def _settled(snapshot: Snapshot, state: PolicyState, config: PolicyConfig) -> PolicyState:
    """Apply what became of the last decision."""
    outcome = snapshot.outcome
    if outcome.pid > 0:
        # To AOSP a victim without one whole page is no kill (defect tiny_rss_second_kill).
        if outcome.rss_pages != 0 or config.compat != _AOSP:
            cut_pct = state.cut_limit_pct
            state = state._replace(
                killed_last=1,
                max_thrashing_pct=0,
                thrashing_limit_pct=cut_pct if cut_pct >= 0 else state.thrashing_limit_pct,
            )
        state = state._replace(struck_ms=outcome.at_ms, cut_limit_pct=ABSENT)
    elif state.cut_limit_pct >= 0:
        state = state._replace(cut_limit_pct=ABSENT)
    return state


def _early(action: int, request: int, state: PolicyState) -> Judgement:
    """An evaluation that ends before anything is measured."""
    return Judgement(
        action=action,
        reason=_NO_REASON,
        min_adj=ABSENT,
        thrashing_pct=ABSENT,
        max_thrashing_pct=ABSENT,
        free_swap_kb=ABSENT,
        swap_low_threshold_kb=ABSENT,
        swap_util_pct=ABSENT,
        breached=_UNBREACHED,
        reclaim=_NO_RECLAIM,
        file_lru_kb=ABSENT,
        direct_reclaim_ms=0,
        swap_is_low=0,
        poll_request=request,
        state=state,
    )

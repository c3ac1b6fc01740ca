"""A person goes through twelve applications and comes back to them; one that was killed has to start again."""

from __future__ import annotations

from ..qemu.guest.cast import MIXED, Actor, Part, Role, hold, spin, take, touch
from ..qemu.guest.trial import Trial
from .workload import Progress, Workload, at

COUNT, TURNS, DWELL_S = 12, 28, 0.5
APP_MIB, WORK_MIB, START_CPU_S = 30, 14, 0.3
BASE = (("visible-100", 100), ("perceptible-200", 200), ("service-500", 500), ("home-600", 600))
BASE_MIB = 2
NEAR = 0.7  # of the returns go to one of the last four before the one in front
PREVIOUS_ADJ, CACHED_ADJ, LAST_CACHED_ADJ = 700, 900, 998


def application(mib: int, work_mib: int) -> Role:
    """Starts cold and tells so; goes over its working set at each cue and tells how long that took."""

    def role(part: Part) -> None:
        held = take(mib, MIXED)
        spin(START_CPU_S)
        part.tell(0)
        while True:
            part.cue()
            part.tell(touch(held, work_mib))

    return role


def step_back(trial: Trial, actors: list[Actor]) -> None:
    """Whoever is not in front any more, the last one first."""
    for place, actor in enumerate(actors):
        trial.set_adj(actor, PREVIOUS_ADJ if place == 0 else min(CACHED_ADJ + 2 * place, LAST_CACHED_ADJ))


def perform(trial: Trial) -> Progress:
    """See the top. A return takes from the choice of the application until it has gone over its working set."""
    for name, adj in BASE:
        trial.start(name, adj, hold(trial.mib(BASE_MIB)))
    role = application(trial.mib(APP_MIB), trial.mib(WORK_MIB))
    living: dict[int, Actor] = {}
    recent: list[int] = []
    returns: list[tuple[int, bool, float]] = []
    failed = 0
    for turn in range(TURNS):
        near = trial.chance.random() < NEAR
        which = turn if turn < COUNT else trial.chance.choice(recent[1:5] if near else recent[1:])
        begin_s = trial.now_s
        if which in recent:
            recent.remove(which)
        step_back(trial, [living[other] for other in recent])
        recent.insert(0, which)
        is_return = which in living
        cold = not is_return or bool(living[which].death_s)
        if cold:
            living[which] = trial.start(f"app{which}-{turn}", 0, role)
        app = living[which]
        trial.set_adj(app, 0)
        heard = len(app.told)
        app.cue()
        failed += not trial.await_word(app, heard)
        if is_return:
            returns.append((which, cold, round(trial.now_s - begin_s, 3)))
        trial.rest(DWELL_S)
        if trial.now_s > trial.limit_s:
            break
    taken = [seconds for _, _, seconds in returns]
    return Progress(
        trial.now_s - trial.last_stall_s > DWELL_S,
        trial.now_s if len(returns) == TURNS - COUNT and not failed else 0.0,
        {
            "returns": returns,
            "return_s": [at(taken, share) for share in (0.5, 0.95, 1.0)],
            "cold_starts": sum(cold for _, cold, _ in returns),
            "failed": failed,
        },
    )


# 12 x 31.5 + 4 x 3.5 are 392 MiB; room is 155 - 2.7 - 192 / 3.1 + 192 = 282: 110 MiB are lacking, four applications.
SWITCH = Workload("switch", perform, minimum=4)

"""What guards now: a configuration and all that was made for it, as one value that is swapped whole.

Another configuration, swap area or lost trigger asks for another guard. It is built beside the one in force, and either
takes its place or is dropped; the steward changes nothing of its own before the guard is whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from ...core.config import Config, DomainKind, MonitorConfig
from ...core.notes import Note
from ...core.vocabulary import ABSENT, NoteKind
from ...kernel.protection.reserve import Reserve
from ...kernel.sensing.domain import Domain, DomainChoice, open_domain, resolved
from ...wire.config import config_hash, encode_config
from .killers.keeper import Killer, fork_killer
from .killers.kernel_strike import KernelStrike, load_kernel_strike
from .killers.lost_triggers import LostTriggers

if TYPE_CHECKING:
    from collections.abc import Iterable


class Guard(NamedTuple):
    """One configuration in force. `killer` is dead for a while where it ended and has no successor yet."""

    config: Config  # as it was pushed
    monitor: MonitorConfig  # the same with the domain that AUTO stands for
    generation: int  # counts the configurations of this steward
    domain: Domain
    killer: Killer
    kernel_strike: KernelStrike
    reserve: Reserve  # the steward's private pool
    lost: LostTriggers

    @property
    def config_hash(self) -> str:
        """Of the configuration as it was pushed."""
        return config_hash(encode_config(self.config))

    def drop(self, kept: Guard) -> None:
        """End and close all that `kept` does not share with this guard."""
        if self.killer is not kept.killer:
            self.killer.end()
            self.killer.close()
        if self.domain is not kept.domain:
            self.domain.close()
        if self.kernel_strike is not kept.kernel_strike:
            self.kernel_strike.stand_down()
        if self.reserve is not kept.reserve:
            self.reserve.close()


class GuardBuilder:
    """Builds guards for one state root. `required_layer`: none is built that ends below it."""

    def __init__(self, root: str, auto: DomainChoice, rows: int, notify_fd: int) -> None:
        self.root = root
        self.auto = auto  # what domain_kind AUTO stands for
        self.rows = rows  # candidates at most
        self.notify_fd = notify_fd
        self.required_layer = ABSENT

    def chosen(self, config: Config) -> list[Note]:
        """What AUTO came to, where a configuration says AUTO."""
        if config.monitor.domain_kind != DomainKind.AUTO:
            return []
        return [Note(kind=NoteKind.DOMAIN_CHOSEN, text=self.auto.describe(), number=self.auto.sign)]

    def first(self, config: Config, killer: Killer, kernel_strike: KernelStrike, reserve: Reserve) -> Guard:
        """Around the killer that the start has forked. OSError, ValueError: the domain cannot be opened."""
        monitor = resolved(config.monitor, self.auto)
        return Guard(config, monitor, 1, open_domain(monitor), killer, kernel_strike, reserve, LostTriggers())

    def build(self, former: Guard, config: Config, never: Iterable[int]) -> Guard:
        """For this configuration, its killer armed in stand-by; `never` are pids that it must not strike.

        KillerFailed, OSError, ValueError, MemoryError: then nothing is left of it.
        """
        changed = config != former.config
        monitor = resolved(config.monitor, self.auto)
        generation = former.generation + changed
        lost = former.lost.after_reload(former.config.monitor, config.monitor) if changed else former.lost
        kernel_strike: KernelStrike | None = None
        domain: Domain | None = None
        reserve, killer = former.reserve, former.killer
        try:
            kernel_strike = load_kernel_strike(self.root, monitor, former.kernel_strike.number + 1)
            domain = open_domain(monitor)
            if config.monitor.reserve_kb != reserve.kb:
                reserve.give_back()  # never both at once; where this one stays, it is taken again when all is calm
                reserve = Reserve(config.monitor.reserve_kb)
            killer = self._fork(config, monitor, generation, kernel_strike, reserve, never, self.required_layer)
            return Guard(config, monitor, generation, domain, killer, kernel_strike, reserve, lost)
        except BaseException:
            former._replace(
                killer=killer,
                domain=domain or former.domain,
                kernel_strike=kernel_strike or former.kernel_strike,
                reserve=reserve,
            ).drop(former)
            raise

    def fork(self, guard: Guard, never: Iterable[int]) -> Killer:
        """Another killer for a guard whose own has ended, armed in stand-by. KillerFailed."""
        return self._fork(guard.config, guard.monitor, guard.generation, guard.kernel_strike, guard.reserve, never)

    def _fork(
        self,
        config: Config,
        monitor: MonitorConfig,
        generation: int,
        kernel_strike: KernelStrike,
        reserve: Reserve,
        never: Iterable[int],
        required_layer: int = ABSENT,
    ) -> Killer:
        guarded = config._replace(monitor=monitor)
        return fork_killer(
            self.root,
            guarded,
            generation,
            self.rows,
            tuple(never),
            self.notify_fd,
            kernel_strike,
            required_layer,
            reserve,
        )

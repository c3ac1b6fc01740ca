"""The steward as reload.py and ending.py see it: for the checker of types, so that they need not import it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from .killers.owner import Owner

if TYPE_CHECKING:
    from ...core.config import Config
    from ...kernel.sensing.domain import Domain
    from ..slow_closers import SlowClosers
    from .candidates.candidate_events import CandidateEvents
    from .candidates.discovery import Discovery
    from .clients.control import ControlServer
    from .deferred_work import DeferredWork
    from .filing.strike_filing import StrikeFiling
    from .killers.burial import Burial
    from .killers.kernel_strike import KernelStrike
    from .killers.lost_triggers import LostTriggers
    from .killers.vacancy import Vacancy
    from .swaps import SwapWatch


class Parts(Owner, Protocol):
    """All that a reload may put another in place of, and all that is closed in the end."""

    root: str
    observe: bool
    generation: int
    required_layer: int
    to_revert_to: Config | None
    domain: Domain
    domain_is_gone: bool
    discovery: Discovery
    events: CandidateEvents
    kernel_strike: KernelStrike
    strikes: StrikeFiling
    swaps: SwapWatch
    paging_out: Any  # PagingOut, which needs this protocol itself
    deferred: DeferredWork
    lost: LostTriggers
    vacancy: Vacancy
    burial: Burial
    slow: SlowClosers
    control: ControlServer
    notify_fd: int
    catch_up_due: bool
    interrupted: bool

    def _take_records(self) -> None:
        """File what the killer has written."""

    def complete(self) -> None:
        """Do what the last handover has left to do. OSError, MemoryError: again later."""

    def write_down(self) -> None:
        """File names and complaints."""

    def close(self) -> None:
        """Watch nothing any more."""

"""What the daemon orders and what it gets. Light: the steward imports it, the child that loads does the rest."""

from __future__ import annotations

from typing import NamedTuple

VARIANT_LIST, VARIANT_CURRENT, VARIANT_WALK = 1, 2, 3
VARIANT_NAMES = {VARIANT_LIST: "list", VARIANT_CURRENT: "current", VARIANT_WALK: "walk"}


class BpfRefused(Exception):
    """No strike inside the kernel here; the text is one line: what, found, how to mend it."""


class Order(NamedTuple):
    """The guarded domain and the limits the program starts with (words of layout.py; they can be changed later)."""

    cgroup: str  # v2 directory whose tasks are the domain; "" is the whole system
    # So many reclaim events within this time are beyond the limit. Few: the slower reclaim gets, the fewer there are.
    limit_events: int = 10
    limit_window_ns: int = 500_000_000
    free_limit_pages: int = 0  # whole system only: below this
    rekick_ns: int = 25_000_000
    answer_ns: int = 50_000_000
    gap_ns: int = 20_000_000
    lease_ns: int = 10_000_000_000
    adj_floor: int = 900  # variants without a list: from this oom_score_adj on
    variants: tuple[int, ...] = (VARIANT_LIST, VARIANT_CURRENT, VARIANT_WALK)  # tried in this order


class AttachedProgram(NamedTuple):
    """A program attached to the domain's reclaim, not armed yet. Closing link_fds detaches it unless it is pinned."""

    variant: int
    guard_fd: int
    rows_fd: int
    log_fd: int
    ring_fd: int
    link_fds: tuple[int, ...]
    notes: tuple[str, ...]  # what is weaker than it could be, one line each

    def fds(self) -> tuple[int, ...]:
        """All descriptors; their owner closes them."""
        return (self.guard_fd, self.rows_fd, self.log_fd, self.ring_fd, *self.link_fds)

    def moved(self, first: int) -> AttachedProgram:
        """The same in a process that holds them under the numbers from `first` on, in the order of fds()."""
        links = tuple(range(first + 4, first + 4 + len(self.link_fds)))
        return self._replace(guard_fd=first, rows_fd=first + 1, log_fd=first + 2, ring_fd=first + 3, link_fds=links)

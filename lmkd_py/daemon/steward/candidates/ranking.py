"""Pids in the order in which they may be killed, kept while they come and go: nobody sorts thousands for one change."""

from __future__ import annotations


class Ranking:
    """By falling adj; those of one adj form a slot, the one who came to it last at its end."""

    def __init__(self, known: list[tuple[int, int]]) -> None:
        """Of those known, pid and adj, the oldest first."""
        self._slots: dict[int, dict[int, None]] = {}  # by adj; a dict keeps the order
        for pid, adj in known:
            self._slots.setdefault(adj, {})[pid] = None

    def place(self, pid: int, adj: int, former_adj: int) -> None:
        """Make it the newest of its slot; it leaves the one it was in, if it was in any."""
        slot = self._slots.setdefault(adj, {})
        slot.pop(pid, None)
        slot[pid] = None
        if former_adj != adj:
            self.drop(pid, former_adj)

    def drop(self, pid: int, adj: int) -> None:
        """Forget it, if it is there."""
        slot = self._slots.get(adj)
        if slot is not None:
            slot.pop(pid, None)
            if not slot:
                del self._slots[adj]

    def first(self, count: int, min_adj: int) -> list[int]:
        """So many of the most expendable, none below min_adj."""
        found: list[int] = []
        for adj in sorted(self._slots, reverse=True):
            if adj < min_adj:
                break
            for pid in self._slots[adj]:
                if len(found) >= count:
                    return found
                found.append(pid)
        return found

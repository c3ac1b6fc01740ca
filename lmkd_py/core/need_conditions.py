"""What the rules of STEADY need, in words and numbers, as `conditions` has it for the others. Not the kill path."""

from __future__ import annotations

from .conditions import Condition
from .config import PolicyConfig
from .need import Need
from .room import ALL_PERMILLE, Room
from .vocabulary import ABSENT


def room_is_short(n: Need, c: PolicyConfig) -> Condition:
    """Less room than the reserve, or none that anybody gets."""
    room = n.room
    wanted = f"less room than the reserve of {mib(room.reserve_kb)} MiB"
    hung = "; all tasks of the domain waited in vain" if n.hung else ""
    found = f"it was {mib(room.kb)} MiB: {room_words(room)}{hung}"
    return Condition(wanted, found, room.kb < room.reserve_kb or n.hung)


def window_ended(n: Need, c: PolicyConfig) -> Condition:
    """Stall and refaults are judged over whole windows."""
    found = "one ended" if n.window_ended else "none did"
    return Condition("the end of a window over stall and refaults", found, n.window_ended)


def stall_goes_on(n: Need, c: PolicyConfig) -> Condition:
    """So many bad windows in a row."""
    wanted = (
        f"{c.stall_windows} windows in a row in which some task waits for {c.stall_some_pct} % of the time and"
        f" {c.stall_refault_permille} permille of RAM a second are read back"
    )
    found = "no window has ended since the last kill, or there is no PSI, or a cgroup has no refaults of its own"
    if n.stall_pct != ABSENT:
        found = f"{n.bad_windows}, the last with {n.stall_pct} % and {n.refault_permille} permille"
    return Condition(wanted, found, n.bad_windows >= c.stall_windows)


def memory_is_not_free(n: Need, c: PolicyConfig) -> Condition:
    """With much free memory nobody waits for some."""
    found = f"{mib(n.room.unused_kb)} MiB were free"
    return Condition(f"less than {mib(n.ample_kb)} MiB of free memory", found, n.room.unused_kb < n.ample_kb)


def room_words(room: Room) -> str:
    """The parts of the room: "1.9 free above the low watermark, 0.2 of file cache, 1.0 that swap frees at 3.1:1"."""
    parts = [f"{mib(room.free_kb)} free above the low watermark", f"{mib(room.file_kb)} of file cache"]
    parts.append(f"{mib(room.swap_kb)} that swap frees{_ratio(room.gain_permille)}")
    if room.dying_kb:
        parts.append(f"{mib(room.dying_kb)} of the last victim, which is not dead yet")
    return ", ".join(parts)


def mib(kb: int) -> str:
    """MiB of kB, one digit behind the point."""
    tenths = (abs(kb) * 10 + 512) // 1024
    return f"{'-' if kb < 0 and tenths else ''}{tenths // 10}.{tenths % 10}"


def _ratio(gain_permille: int) -> str:
    # Of a page in zram 1/ratio stays in use.
    if gain_permille >= ALL_PERMILLE:
        return ""
    if gain_permille <= 0:
        return ": zram shrinks nothing"
    left = ALL_PERMILLE - gain_permille
    tenths = (10 * ALL_PERMILLE + left // 2) // left
    return f" at {tenths // 10}.{tenths % 10}:1"

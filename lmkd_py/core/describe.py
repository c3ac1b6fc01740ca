"""The words of a verdict: AOSP's exactly as its log has them, of STEADY its own. For people and the oracle check."""

from __future__ import annotations

from typing import Any

from .config import PolicyConfig
from .decision import Judgement
from .ladder import rung_of
from .need_conditions import mib, room_words
from .room import room_of
from .snapshot import Snapshot
from .steady import HANG_MS
from .vocabulary import Action, PolicyKind, Watermark


def describe(judgement: Judgement, snapshot: Snapshot, config: PolicyConfig) -> str:
    """The text after `reason: ` in AOSP's kill line; empty where no verdict stands."""
    if judgement.action != Action.KILL:
        return ""
    mark = "min" if judgement.breached == Watermark.MIN else "low"
    values: dict[str, Any] = {**judgement._asdict(), **config._asdict()}
    values.update(mark=mark, vendor_min_adj=snapshot.vendor_min_adj)
    if config.kind == PolicyKind.STEADY:
        after = judgement.state
        room = room_of(snapshot, after.watermark_low_pages, after.dying_kb, config)
        values.update(room_mib=mib(room.kb), reserve_mib=mib(room.reserve_kb), room=room_words(room))
        values.update(stall_pct=after.stall_pct, stall_refault_permille=after.stall_refault_permille)
        hung = after.hung_ms >= 0 and 0 <= snapshot.now_ms - after.hung_ms < HANG_MS
        values.update(hung="; all tasks of the domain were found to wait in vain" if hung else "")
    return rung_of(judgement.reason, config.kind).words.format(**values)

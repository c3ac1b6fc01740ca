"""Taking a new config.bin while guarding: policy at once, what is watched by another guard.

So does whoever needs another killer: swap areas that came or went, and triggers that were lost (lost_triggers.py).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.config import Config, ConfigError
from ...core.notes import Note
from ...core.vocabulary import NoteKind
from ...wire.pending import read_pending
from ..config_file import load_config
from .killers.keeper import KillerFailed

if TYPE_CHECKING:
    from .steward import Steward


def reload(steward: Steward) -> str:
    """Make what config.bin says now the configuration, and note it. Returns why not, or ''; the old one stays then."""
    former = steward.guard.config
    refused = _take_config(steward)
    if refused:
        steward.journal.note(NoteKind.RELOAD_REFUSED, refused)
    elif steward.guard.config != former:
        waits = _waits(steward.root)
        is_revert = steward.guard.config == steward.to_revert_to and not waits
        steward.to_revert_to = former if waits else None
        kind = NoteKind.CONFIG_REVERTED if is_revert else NoteKind.RELOADED
        steward.journal.add(Note(kind=kind, number=steward.guard.generation, subject=steward.guard.config_hash))
    return refused


def _waits(root: str) -> bool:
    # For its confirmation, what was pushed. A reload that brings the former config back once it does not any more has
    # taken the push back.
    try:
        return read_pending(root) is not None
    except OSError:
        return False


def _take_config(steward: Steward) -> str:
    former = steward.guard.config
    try:
        config = load_config(steward.root, steward.observe)
    except (ConfigError, OSError) as error:
        return str(error)
    if config == former:
        return ""
    # With AOSP's policy other triggers are registered.
    if config.monitor != former.monitor or config.policy.kind != former.policy.kind:
        return replace_guard(steward, config)
    outbox, generation = steward.guard.killer.outbox, steward.guard.generation + 1
    if not steward.vacancy.pid and outbox is not None:  # else the next killer begins with it
        outbox.put_policy(config.policy, generation)
        steward.header_due = True
    steward.guard = steward.guard._replace(config=config, generation=generation)
    steward.begin_trace()
    return ""


def take_swap(steward: Steward) -> None:
    """/proc/swaps has changed: another killer, which pins what zram tells of the areas there are now."""
    if steward.swaps.changed():
        steward.journal.note(NoteKind.SWAP_CHANGED)
        refused = replace_guard(steward, steward.guard.config)
        if refused:
            steward.journal.note(NoteKind.SWAP_REFUSED, refused)


def replace_guard(steward: Steward, config: Config) -> str:
    """Another guard for this configuration, whole, or the one in force stays. Returns why it stays, or ''."""
    former = steward.guard
    try:
        guard = steward.builder.build(former, config, steward.candidates.never)
        try:
            steward.take_over(guard, former.killer)
        except BaseException:
            guard.drop(former)
            raise
    except (KillerFailed, OSError, ValueError, MemoryError) as failure:
        steward.catch_up_due = True  # nobody read what the former killer told us while we waited for the new one
        return str(failure) or "no memory"
    former.domain.close()
    steward.strikes.retire(former.kernel_strike)
    return ""

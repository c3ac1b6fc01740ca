"""Taking a new config.bin while guarding: policy at once, what is watched by a new killer.

A new killer is forked, too, where the old one has lost what it watches (lost_triggers.py): replace_guard() serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.config import Config, ConfigError
from ...core.notes import Note
from ...core.vocabulary import NoteKind
from ...kernel.sensing.domain import Domain, open_domain
from ...wire.config import config_hash, encode_config
from ...wire.pending import read_pending
from ..config_file import load_config
from .killers.keeper import KillerFailed
from .killers.kernel_strike import load_kernel_strike

if TYPE_CHECKING:
    from .killers.keeper import Killer
    from .parts import Parts


def reload(steward: Parts) -> str:
    """Make what config.bin says now the configuration, and note it. Returns why not, or ''; the old one stays then."""
    former = steward.config
    refused = _take_config(steward)
    if refused:
        steward.journal.note(NoteKind.RELOAD_REFUSED, refused)
    elif steward.config != former:
        waits = _waits(steward.root)
        is_revert = steward.config == steward.to_revert_to and not waits
        steward.to_revert_to = former if waits else None
        kind = NoteKind.CONFIG_REVERTED if is_revert else NoteKind.RELOADED
        digest = config_hash(encode_config(steward.config))
        steward.journal.add(Note(kind=kind, number=steward.generation, subject=digest))
    return refused


def _waits(root: str) -> bool:
    # For its confirmation, what was pushed. A reload that brings the former config back once it does not any more has
    # taken the push back.
    try:
        return read_pending(root) is not None
    except OSError:
        return False


def _take_config(steward: Parts) -> str:
    try:
        config = load_config(steward.root, steward.observe)
    except (ConfigError, OSError) as error:
        return str(error)
    if config == steward.config:
        return ""
    # With AOSP's policy other triggers are registered.
    if config.monitor != steward.config.monitor or config.policy.kind != steward.config.policy.kind:
        return replace_guard(steward, config)
    outbox = steward.killer.outbox
    assert outbox is not None
    if steward.vacancy.pid:  # the next killer begins with it
        steward.config = config
        steward.generation += 1
        return ""
    outbox.put_policy(config.policy, steward.generation + 1)
    steward.config = config
    steward.generation += 1
    steward.journal.begin(steward.config, steward.generation, steward.killer, steward.domain)
    return ""


def take_swap(steward: Parts) -> None:
    """Where swap areas came or went: another killer, which pins what zram tells of those there are now.

    While that is refused it is tried again, with pauses.
    """
    swaps = steward.swaps
    if swaps.told:
        if swaps.changed():
            swaps.outdate(steward.domain)
            steward.journal.note(NoteKind.SWAP_CHANGED)
        swaps.told = False
    if not swaps.is_due(steward.domain):
        return
    former, refused = swaps.refused, "broken off"
    try:
        refused = replace_guard(steward, steward.config)
    finally:
        swaps.tried(refused)
    if refused and refused != former:
        steward.journal.note(NoteKind.SWAP_REFUSED, refused)


def replace_guard(steward: Parts, config: Config) -> str:
    """Everything anew for this configuration: domain, strike in the kernel, killer. Returns why not, or ''.

    Until it stands the former killer guards; where it fails all is as before.
    """
    former, former_config, former_domain = steward.killer, steward.config, steward.domain
    former_strike = steward.kernel_strike
    former_generation, former_lost, outbox = steward.generation, steward.lost, steward.candidates.outbox
    domain: Domain | None = None
    newborn: Killer | None = None
    is_followed = False
    try:
        steward.complete()  # of the last handover: from here on its strike is a former one
        steward.config = config
        if config != former_config:
            steward.generation += 1
            steward.lost = former_lost.after_reload(former_config.monitor, config.monitor)
        steward.kernel_strike = load_kernel_strike(steward.root, steward.guarded.monitor, former_strike.number + 1)
        steward.kernel_strike.replaces = former_strike
        domain = open_domain(steward.guarded.monitor)
        steward.deferred.pool.resize(config.monitor.guarantee.reserve_kb)
        killer = newborn = steward.fork(steward.required_layer)
        # The former killer guards another domain: it must not hear of this one's candidates.
        steward.candidates.outbox = None
        is_followed = True
        _follow(steward, domain)
        steward.events.watch()
        steward.events.scan()
        newborn = None  # who takes over is ended by whom it does not work out for
        steward.take_over(killer, former)
    except (KillerFailed, OSError, ValueError, MemoryError) as failure:
        latter_strike, steward.kernel_strike = steward.kernel_strike, former_strike
        steward.config = former_config
        if is_followed:
            _follow(steward, former_domain)
        steward.generation, steward.lost = former_generation, former_lost
        steward.catch_up_due = True  # nobody read what the former killer told us while we waited for the new one
        # The former killer is told everything again once the candidates are those of its own domain: by catch_up().
        steward.interrupted = steward.interrupted or steward.candidates.outbox is not outbox
        steward.events.watch_due = steward.events.watch_due or is_followed
        if newborn is not None:
            steward.candidates.never.discard(newborn.pid)
            newborn.end()
            newborn.close()
        if latter_strike is not former_strike:
            latter_strike.stand_down()
        steward.deferred.pool.resize(former_config.monitor.guarantee.reserve_kb)
        if domain is not None:
            domain.close()
        return str(failure) or "no memory"
    former_domain.close()
    return ""


def _follow(steward: Parts, domain: Domain) -> None:
    steward.domain = steward.deferred.domain = domain
    steward.discovery.watch(domain, steward.config.monitor)
    steward.candidates.sized_limit = steward.config.monitor.discovery.sized_candidates

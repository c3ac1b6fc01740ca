"""Taking a new config.bin while guarding: policy at once, what is watched by a new killer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...core.config import Config, ConfigError
from ...kernel.domain import Domain, open_domain
from .. import shared as layout
from ..config_file import load_config
from .backstop import load
from .keeper import KillerFailed

if TYPE_CHECKING:
    from .service import Service


def reload(service: Service) -> str:
    """Make what config.bin says now the configuration. Returns why not, or ''; the old one stays then."""
    try:
        config = load_config(service.root, service.observe)
    except (ConfigError, OSError) as error:
        service.journal.note("reload-refused", str(error))
        return str(error)
    if config == service.config:
        return ""
    if config.monitor != service.config.monitor:
        return _replace_killer(service, config)
    outbox = service.killer.outbox
    assert outbox is not None
    for index, value in enumerate(config.policy):
        outbox.put(layout.POLICY, index, (0, 0, 0, 0, 0, 0, value))
    outbox.put(layout.GENERATION, 0, (0, 0, 0, 0, 0, 0, service.generation + 1))
    service.config = config
    service.generation += 1
    service.journal.begin(service.config, service.generation, service.killer, service.domain.describe())
    return ""


def _replace_killer(service: Service, config: Config) -> str:
    former, former_config, former_domain = service.killer, service.config, service.domain
    former_backstop = service.backstop
    service.config = config
    service.generation += 1
    service.backstops += 1
    service.backstop = load(service.root, config.monitor, service.backstops)
    try:
        domain = open_domain(config.monitor)
        service.calm.pool.resize(config.monitor.reserve_kb)
        killer = service.fork(service.required_layer)
        _watch(service, domain)
        # The former killer guards another domain: it must not hear of this one's candidates.
        service.registry.outbox = None
        service.scan()
        service.take_over(killer, former)
    except (KillerFailed, OSError, ValueError, MemoryError) as failure:
        service.backstop.stand_down()
        service.backstop = former_backstop
        service.config = former_config
        service.calm.pool.resize(former_config.monitor.reserve_kb)
        service.generation -= 1
        service.owed = True  # what the former killer told us while we waited for the new one was not listened to
        if service.domain is not former_domain:
            service.domain.close()
            _watch(service, former_domain)
            service.registry.outbox = former.outbox
            service.broken_off = True
        refusal = str(failure) or "no memory"
        service.journal.note("reload-refused", refusal)
        return refusal
    service.journal.file_strikes(former_backstop.take(former.pid))
    former_backstop.stand_down()
    former_domain.close()
    return ""


def _watch(service: Service, domain: Domain) -> None:
    service.domain = service.calm.domain = domain
    service.discovery.watch(domain, service.config.monitor)
    service.registry.sized_limit = service.config.monitor.sized_candidates

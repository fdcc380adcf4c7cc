"""Services: started in the order they need each other, supervised, stopped in reverse."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from alicia_scheduler.api.descriptors import ServiceType
from alicia_scheduler.host.blame import working_for
from alicia_scheduler.host.context import HostContext, Surroundings
from alicia_scheduler.host.recipes import made
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.host.supervision import Stop, keep_open

__all__ = ["ConfiguredService", "SupervisedServices", "in_start_order", "services_running"]

logger = logging.getLogger(__name__)

START_TIMEOUT = 10.0
"""Seconds that the start waits for a service before it goes on with the next (R64)."""


@dataclass(frozen=True)
class ConfiguredService:
    """A service type with its validated configuration, or the recipe for it."""

    offer: Offer[ServiceType]
    config: Any


def in_start_order(services: Iterable[ConfiguredService]) -> list[ConfiguredService]:
    """The services so that each comes after what it requires; otherwise in the given order.

    Services that require each other in a circle come last, as they stand.
    """
    waiting = list(services)
    ordered: list[ConfiguredService] = []
    while waiting:
        missing = {service.offer.type.provides for service in waiting}
        ready = [
            service
            for service in waiting
            if not any(contract in missing for contract in service.offer.type.requires)
        ]
        following = ready[0] if ready else waiting[0]
        ordered.append(following)
        waiting.remove(following)
    return ordered


@dataclass(eq=False)
class _Supervised:
    """A service that is kept running."""

    service: ConfiguredService
    stop: Stop = field(default_factory=Stop)
    done: trio.Event = field(default_factory=trio.Event)


class SupervisedServices:
    """The services of a host, in the order in which they were started."""

    def __init__(self, surroundings: Surroundings, nursery: trio.Nursery) -> None:
        self._surroundings = surroundings
        self._nursery = nursery
        self._running: list[_Supervised] = []

    async def start(self, services: Iterable[ConfiguredService]) -> None:
        """Start services in the order they need each other. Each start is waited for, bounded: one
        that fails or hangs is told, is tried again by its supervisor, and holds up nothing else."""
        for service in in_start_order(services):
            supervised = _Supervised(service)
            self._running.append(supervised)
            first_word = trio.Event()
            self._nursery.start_soon(_supervise, supervised, self._surroundings, first_word)
            with trio.move_on_after(START_TIMEOUT) as waiting:
                await first_word.wait()
            if waiting.cancelled_caught:
                name = service.offer.type.name
                logger.warning("service %s takes long to start", name)
                sentence = f"service {name} was not open after {START_TIMEOUT:g} s"
                self._surroundings.faults.error(service.offer.plugin, "open", sentence)

    async def stop(self, services: Collection[ConfiguredService] | None = None) -> None:
        """Close these, or all, the one that was started last first; each within its bound."""
        for supervised in self._running[::-1]:
            if services is None or supervised.service in services:
                supervised.stop.set()
                await supervised.done.wait()
                self._running.remove(supervised)


@asynccontextmanager
async def services_running(
    services: Sequence[ConfiguredService], surroundings: Surroundings
) -> AsyncIterator[SupervisedServices]:
    """Run the services while the block is open."""
    async with trio.open_nursery() as nursery:
        running = SupervisedServices(surroundings, nursery)
        try:
            await running.start(services)
            yield running
        finally:
            with trio.CancelScope(shield=True):
                await running.stop()


async def _supervise(
    supervised: _Supervised, surroundings: Surroundings, first_word: trio.Event
) -> None:
    service = supervised.service
    kind = service.offer.type
    plugin, name = service.offer.plugin, f"service {kind.name}"
    context = surroundings.context(plugin)
    running, notifier = surroundings.services, surroundings.notifier

    def up(part: object) -> None:
        if kind.provides is not None:
            running.up(kind.provides, part)
        first_word.set()

    def down(problem: str, error: BaseException) -> None:
        surroundings.faults.failed(plugin, "service", error, f"{name} failed: {problem}")
        if kind.provides is not None:
            running.down(kind.provides, problem)
        notifier.error(f"service {kind.name} failed: {problem}", kind="service")
        first_word.set()

    def late(sentence: str) -> None:
        surroundings.faults.fault(plugin, "close", sentence)

    try:
        with surroundings.part(name), working_for(plugin):
            await keep_open(
                name,
                lambda: _opened(service, context, surroundings.secrets),
                up=up,
                down=down,
                stop=supervised.stop,
                late=late,
            )
    finally:
        if kind.provides is not None:
            running.down(kind.provides, "it was stopped")
        supervised.done.set()


@asynccontextmanager
async def _opened(
    service: ConfiguredService, context: HostContext, secrets: Secrets
) -> AsyncIterator[Any]:
    """The running service, opened with its secrets as they are now."""
    config = await made(service.config, secrets)
    async with service.offer.type.open(config, context) as part:
        yield part

"""Services: started at once, except for who needs whom; supervised; stopped the other way round."""

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
from alicia_scheduler.host.supervision import OpenedTooLate, Stop, keep_open

__all__ = ["ConfiguredService", "SupervisedServices", "in_start_order", "services_running"]

logger = logging.getLogger(__name__)

START_TIMEOUT = 10.0
"""Seconds that the start waits for services, and a service for those it requires (R64)."""


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
    """A service that is kept running.

    Attributes:
        follows: those that provide what it requires; it opens after them.
        word: set when it is open, or has failed for the first time.
    """

    service: ConfiguredService
    follows: Sequence[_Supervised] = ()
    stop: Stop = field(default_factory=Stop)
    word: trio.Event = field(default_factory=trio.Event)
    done: trio.Event = field(default_factory=trio.Event)


class SupervisedServices:
    """The services of a host, in an order in which each comes after what it requires."""

    def __init__(self, surroundings: Surroundings, nursery: trio.Nursery) -> None:
        self._surroundings = surroundings
        self._nursery = nursery
        self._running: list[_Supervised] = []

    async def start(self, services: Iterable[ConfiguredService]) -> None:
        """Start services, all at once but for those that need another: they follow it. The start is
        waited for, bounded: one that fails or hangs is told, is tried again by its supervisor, and
        holds up nothing else."""
        started = []
        for service in in_start_order(services):
            supervised = _Supervised(service)
            supervised.follows = [each for each in self._running if _needs(supervised, each)]
            self._running.append(supervised)
            started.append(supervised)
            self._nursery.start_soon(_supervise, supervised, self._surroundings)
        with trio.move_on_after(START_TIMEOUT):
            for supervised in started:
                await supervised.word.wait()
        for supervised in started:
            if not supervised.word.is_set():
                name, plugin = supervised.service.offer.type.name, supervised.service.offer.plugin
                logger.warning("service %s takes long to start", name)
                sentence = f"service {name} was not open after {START_TIMEOUT:g} s"
                self._surroundings.faults.error(plugin, "open", sentence)

    async def stop(self, services: Collection[ConfiguredService] | None = None) -> None:
        """Close these, or all: at once, but each after those that need it, and within its bound."""
        by_service = {
            id(each.service): each
            for each in self._running
            if services is None or each.service in services
        }
        ordered = in_start_order(each.service for each in by_service.values())
        leaving = [by_service[id(service)] for service in ordered]
        async with trio.open_nursery() as nursery:
            for index, supervised in enumerate(leaving):
                users = [each for each in leaving[index + 1 :] if _needs(each, supervised)]
                nursery.start_soon(_stopped, supervised, users)
        self._running = [each for each in self._running if each not in leaving]


def _needs(user: _Supervised, supervised: _Supervised) -> bool:
    return supervised.service.offer.type.provides in user.service.offer.type.requires


async def _stopped(supervised: _Supervised, users: Sequence[_Supervised]) -> None:
    """Close a service once those that need it are closed."""
    for user in users:
        await user.done.wait()
    supervised.stop.set()
    await supervised.done.wait()


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


async def _supervise(supervised: _Supervised, surroundings: Surroundings) -> None:
    service = supervised.service
    kind = service.offer.type
    plugin, name = service.offer.plugin, f"service {kind.name}"
    context = surroundings.context(plugin)
    running, notifier = surroundings.services, surroundings.notifier

    def up(part: object) -> None:
        if kind.provides is not None:
            running.up(kind.provides, part)
        supervised.word.set()

    def down(problem: str, error: BaseException) -> None:
        sentence = f"{name} failed: {problem}"
        if isinstance(error, OpenedTooLate):
            surroundings.faults.fault(plugin, "open", sentence)
        else:
            surroundings.faults.failed(plugin, "service", error, sentence)
        if kind.provides is not None:
            running.down(kind.provides, problem)
        notifier.error(f"service {kind.name} failed: {problem}", kind="service")
        supervised.word.set()

    def late(sentence: str) -> None:
        surroundings.faults.fault(plugin, "close", sentence)

    try:
        with surroundings.part(name), working_for(plugin):
            await _needs_met(supervised)
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


async def _needs_met(supervised: _Supervised) -> None:
    """Wait, bounded, until those that it requires are open; without them it is opened as well, and
    says itself what it lacks."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_cancel_when_stopped, supervised.stop, nursery.cancel_scope)
        with trio.move_on_after(START_TIMEOUT):
            for needed in supervised.follows:
                await needed.word.wait()
        nursery.cancel_scope.cancel()


async def _cancel_when_stopped(stop: Stop, scope: trio.CancelScope) -> None:
    await stop.wait()
    scope.cancel()


@asynccontextmanager
async def _opened(
    service: ConfiguredService, context: HostContext, secrets: Secrets
) -> AsyncIterator[Any]:
    """The running service, opened with its secrets as they are now."""
    config = await made(service.config, secrets)
    async with service.offer.type.open(config, context) as part:
        yield part

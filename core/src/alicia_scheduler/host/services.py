"""Services: started in the order they need each other, supervised, stopped in reverse."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio

from alicia_scheduler.api.descriptors import ServiceType
from alicia_scheduler.host.context import HostContext, Surroundings
from alicia_scheduler.host.recipes import made
from alicia_scheduler.host.registry import Offer
from alicia_scheduler.host.secrets.vault import Secrets
from alicia_scheduler.host.supervision import Stop, keep_open

__all__ = ["ConfiguredService", "in_start_order", "services_running"]

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


@asynccontextmanager
async def services_running(
    services: Sequence[ConfiguredService], surroundings: Surroundings
) -> AsyncIterator[None]:
    """Run the services while the block is open.

    Each start is waited for, bounded: one that fails or hangs is told, is tried again by its
    supervisor, and holds up nothing else.
    """
    stops: list[tuple[Stop, trio.Event]] = []
    async with trio.open_nursery() as nursery:
        try:
            for service in in_start_order(services):
                stop, done = Stop(), trio.Event()
                stops.append((stop, done))
                first_word = trio.Event()
                nursery.start_soon(_supervise, service, surroundings, stop, done, first_word)
                with trio.move_on_after(START_TIMEOUT) as waiting:
                    await first_word.wait()
                if waiting.cancelled_caught:
                    logger.warning("service %s takes long to start", service.offer.type.name)
            yield
        finally:
            with trio.CancelScope(shield=True):
                for stop, done in reversed(stops):
                    stop.set()
                    await done.wait()


async def _supervise(
    service: ConfiguredService,
    surroundings: Surroundings,
    stop: Stop,
    done: trio.Event,
    first_word: trio.Event,
) -> None:
    kind = service.offer.type
    context = surroundings.context(service.offer.plugin)
    running, notifier = surroundings.services, surroundings.notifier

    def up(part: object) -> None:
        if kind.provides is not None:
            running.up(kind.provides, part)
        first_word.set()

    def down(problem: str) -> None:
        if kind.provides is not None:
            running.down(kind.provides, problem)
        notifier.error(f"service {kind.name} failed: {problem}", kind="service")
        first_word.set()

    name = f"service {kind.name}"
    try:
        with surroundings.part(name):
            await keep_open(
                name,
                lambda: _opened(service, context, surroundings.secrets),
                up=up,
                down=down,
                stop=stop,
            )
    finally:
        done.set()


@asynccontextmanager
async def _opened(
    service: ConfiguredService, context: HostContext, secrets: Secrets
) -> AsyncIterator[Any]:
    """The running service, opened with its secrets as they are now."""
    config = await made(service.config, secrets)
    async with service.offer.type.open(config, context) as part:
        yield part

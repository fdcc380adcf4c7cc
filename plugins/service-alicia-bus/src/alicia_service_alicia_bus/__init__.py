"""A door on MQTT with the conventions of the Alicia bus: service type ``alicia_bus``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module

from alicia_scheduler.api import (
    CompletionReports,
    MqttConnection,
    ServiceContext,
    ServiceType,
    hookimpl,
)
from alicia_service_alicia_bus.config import AliciaBusConfig

__all__ = ["AliciaBusConfig", "open_alicia_bus"]


@asynccontextmanager
async def open_alicia_bus(
    config: AliciaBusConfig, context: ServiceContext
) -> AsyncIterator[CompletionReports]:
    """The open door. What it is made of is imported here, so that the hook stays cheap, and in a
    thread, so that the loop goes on."""
    await context.run_sync(import_module, "alicia_service_alicia_bus.bus")
    from alicia_service_alicia_bus.bus import open_bus

    async with open_bus(config, context) as bus:
        yield bus


@hookimpl
def alicia_services() -> Iterator[ServiceType]:
    """Offer the service."""
    yield ServiceType(
        name="alicia_bus",
        config=AliciaBusConfig,
        open=open_alicia_bus,
        provides=CompletionReports,
        requires=(MqttConnection,),
        only_configured=True,
        summary="commands, completion reports, registration and health on the Alicia bus",
    )

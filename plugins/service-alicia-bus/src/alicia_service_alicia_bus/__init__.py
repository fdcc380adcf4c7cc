"""A door on MQTT with the conventions of the Alicia bus: service type ``alicia_bus``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from alicia_scheduler.api import (
    CompletionReports,
    MqttConnection,
    ServiceContext,
    ServiceType,
    hookimpl,
)
from alicia_service_alicia_bus.config import AliciaBusConfig

__all__ = ["AliciaBusConfig", "open_alicia_bus"]


def open_alicia_bus(
    config: AliciaBusConfig, context: ServiceContext
) -> AbstractAsyncContextManager[CompletionReports]:
    """The open door; what it is made of is imported here, so that the hook stays cheap."""
    from alicia_service_alicia_bus.bus import open_bus

    return open_bus(config, context)


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

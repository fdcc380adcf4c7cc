"""A faster engine for the MQTT connection: service type ``mqtt_native`` in place of ``mqtt``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module

from alicia_mqtt import MqttConfig
from alicia_scheduler.api import MqttConnection, ServiceContext, ServiceType, hookimpl


@asynccontextmanager
async def open_mqtt_native(
    config: MqttConfig, context: ServiceContext
) -> AsyncIterator[MqttConnection]:
    """The running connection. Its engine is imported here, so that the hook stays cheap, and in a
    thread, so that the loop goes on."""
    await context.run_sync(import_module, "alicia_mqtt.connection")
    await context.run_sync(import_module, "alicia_mqtt_native.native_link")
    from alicia_mqtt.connection import open_connection
    from alicia_mqtt_native.native_link import open_link

    async with open_connection(config, context, open_link) as connection:
        yield connection


@hookimpl
def alicia_services() -> Iterator[ServiceType]:
    """Offer the service. It runs only where it is configured: alicia-mqtt, which it builds on,
    serves all others."""
    yield ServiceType(
        name="mqtt_native",
        config=MqttConfig,
        open=open_mqtt_native,
        provides=MqttConnection,
        only_configured=True,
        summary="the connection to the MQTT broker on a faster engine",
    )

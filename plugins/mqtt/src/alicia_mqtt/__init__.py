"""The MQTT connection that actions, sinks and services share: service type ``mqtt``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module

from alicia_mqtt.config import MqttConfig
from alicia_scheduler.api import MqttConnection, ServiceContext, ServiceType, hookimpl

__all__ = ["MqttConfig", "alicia_services", "open_mqtt"]


@asynccontextmanager
async def open_mqtt(config: MqttConfig, context: ServiceContext) -> AsyncIterator[MqttConnection]:
    """The running connection. Its engine is imported here, so that the hook stays cheap, and in a
    thread, so that the loop goes on."""
    await context.run_sync(import_module, "alicia_mqtt.aiomqtt_link")
    await context.run_sync(import_module, "alicia_mqtt.connection")
    from alicia_mqtt.aiomqtt_link import open_link
    from alicia_mqtt.connection import open_connection

    async with open_connection(config, context, open_link) as connection:
        yield connection


@hookimpl
def alicia_services() -> Iterator[ServiceType]:
    """Offer the service."""
    yield ServiceType(
        name="mqtt",
        config=MqttConfig,
        open=open_mqtt,
        provides=MqttConnection,
        summary="the connection to the MQTT broker, shared by actions and sinks",
    )

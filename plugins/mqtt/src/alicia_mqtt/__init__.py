"""The MQTT connection that actions, sinks and services share: service type ``mqtt``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from alicia_mqtt.config import MqttConfig
from alicia_scheduler.api import MqttConnection, ServiceContext, ServiceType, hookimpl

__all__ = ["MqttConfig", "alicia_services", "open_mqtt"]


def open_mqtt(
    config: MqttConfig, context: ServiceContext
) -> AbstractAsyncContextManager[MqttConnection]:
    """The running connection; its engine is imported here, so that the hook stays cheap."""
    from alicia_mqtt.aiomqtt_link import open_link
    from alicia_mqtt.connection import open_connection

    return open_connection(config, context, open_link)


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

"""A faster engine for the MQTT connection: service type ``mqtt_native`` in place of ``mqtt``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from alicia_mqtt import MqttConfig
from alicia_scheduler.api import MqttConnection, ServiceContext, ServiceType, hookimpl


def open_mqtt_native(
    config: MqttConfig, context: ServiceContext
) -> AbstractAsyncContextManager[MqttConnection]:
    """The running connection; its engine is imported here, so that the hook stays cheap."""
    from alicia_mqtt.connection import open_connection
    from alicia_mqtt_native.native_link import open_link

    return open_connection(config, context, open_link)


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

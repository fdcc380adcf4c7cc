"""Notifications and execution results on the MQTT bus: sink type ``mqtt``."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_scheduler.api import MqttConnection, SinkType, hookimpl
from alicia_sink_mqtt.config import MqttSinkConfig
from alicia_sink_mqtt.sink import open_sink

__all__ = ["MqttSinkConfig"]


@hookimpl
def alicia_sinks() -> Iterator[SinkType]:
    """Offer the sink."""
    yield SinkType(
        name="mqtt",
        config=MqttSinkConfig,
        open=open_sink,
        requires=(MqttConnection,),
        summary="notifications, results and errors on the MQTT bus",
    )

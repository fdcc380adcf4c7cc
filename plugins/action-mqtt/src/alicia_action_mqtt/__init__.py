"""An event publishes a message: action type ``mqtt_publish``."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_action_mqtt.config import MqttPublishConfig
from alicia_action_mqtt.publish import needed_services, open_publish, preview_publish
from alicia_scheduler.api import ActionType, MqttConnection, hookimpl

__all__ = ["MqttPublishConfig"]


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer the action."""
    yield ActionType(
        name="mqtt_publish",
        config=MqttPublishConfig,
        open=open_publish,
        requires=(MqttConnection,),
        needs=needed_services,
        preview=preview_publish,
        summary="publish a message over MQTT",
    )

"""An event publishes a message: action type ``mqtt_publish``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager

from alicia_action_mqtt.config import MqttPublishConfig
from alicia_scheduler.api import Action, ActionContext, ActionType, MqttConnection, hookimpl

__all__ = ["MqttPublishConfig"]


def open_publish(context: ActionContext) -> AbstractAsyncContextManager[Action]:
    """The action; what it needs is imported here, so that the hook stays cheap."""
    from alicia_action_mqtt import publish

    return publish.open_publish(context)


@hookimpl
def alicia_action_types() -> Iterator[ActionType]:
    """Offer the action."""
    yield ActionType(
        name="mqtt_publish",
        config=MqttPublishConfig,
        open=open_publish,
        requires=(MqttConnection,),
        summary="publish a message over MQTT",
    )

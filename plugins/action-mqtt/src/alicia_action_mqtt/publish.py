"""The action at work."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from alicia_action_mqtt.config import MqttPublishConfig, encode_message
from alicia_scheduler.api import ActionContext, EventExecution, MqttConnection, to_epoch

__all__ = ["PublishAction", "open_publish", "preview_publish"]


@asynccontextmanager
async def open_publish(context: ActionContext) -> AsyncIterator[PublishAction]:
    """The action; it holds nothing open, the connection is the service's."""
    yield PublishAction(context)


class PublishAction:
    """Publishes the message of an event."""

    def __init__(self, context: ActionContext) -> None:
        self._context = context

    async def run(self, config: MqttPublishConfig, execution: EventExecution) -> dict[str, Any]:
        """Publish, and return what was sent once it is done.

        Raises:
            Retryable: there is no broker, or it was lost before it acknowledged.
            Permanent: the broker refuses this message.
        """
        topic = _topic(config, execution)
        metadata = _metadata(execution, self._context.now())
        message = _message(config, metadata)
        # mypy takes no protocol for a type (python/mypy#4717).
        connection = self._context.service(MqttConnection)  # type: ignore[type-abstract]
        await connection.publish(
            topic,
            encode_message(message),
            qos=config.qos,
            retain=config.retain,
            user_properties=_user_properties(config, metadata),
        )
        return {
            "action_type": "mqtt_publish",
            "topic": topic,
            "message": message,
            "qos": config.qos,
            "retain": config.retain,
            "status": "success",
        }


def preview_publish(config: MqttPublishConfig, execution: EventExecution) -> dict[str, Any]:
    """What an attempt would publish."""
    now = execution.start_time or execution.scheduled_time
    metadata = _metadata(execution, now)
    message = _message(config, metadata)
    return {
        "topic": _topic(config, execution),
        "payload": encode_message(message).decode(),
        "qos": config.qos,
        "retain": config.retain,
        "user_properties": dict(_user_properties(config, metadata)),
    }


def _topic(config: MqttPublishConfig, execution: EventExecution) -> str:
    return config.topic or f"alicia/event/{execution.event_id}"


def _message(config: MqttPublishConfig, metadata: dict[str, Any]) -> Any:
    if config.metadata == "merge" and isinstance(config.message, dict):
        # A new object: the definition is shared by all its executions (X14).
        return {**config.message, **metadata}
    return config.message


def _metadata(execution: EventExecution, now: datetime) -> dict[str, Any]:
    """What receivers on the Alicia bus tell executions apart by."""
    return {
        "event_id": execution.event_id,
        "execution_id": execution.execution_id,
        "scheduled_time": to_epoch(execution.scheduled_time),
        "execution_time": to_epoch(now),
        "triggered_by": "scheduler",
    }


def _user_properties(
    config: MqttPublishConfig, metadata: dict[str, Any]
) -> tuple[tuple[str, str], ...]:
    """The metadata as text, where it has no place in the message itself."""
    merged = config.metadata == "merge" and isinstance(config.message, dict)
    if merged or config.metadata == "none":
        return ()
    return tuple((key, str(value)) for key, value in metadata.items())

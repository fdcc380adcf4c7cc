"""The sink at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import trio

from alicia_scheduler.api import (
    AliciaError,
    MqttConnection,
    MqttOutgoing,
    Notification,
    Retryable,
    SinkContext,
)
from alicia_sink_mqtt.config import MqttSinkConfig
from alicia_sink_mqtt.messages import messages

__all__ = ["MqttSink", "open_sink"]

EXPIRY = 3600
"""Seconds that a broker keeps a message for a receiver that is away: these are facts of the
moment, not state."""

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
"""Seconds between two attempts while the broker is away."""


@asynccontextmanager
async def open_sink(config: MqttSinkConfig, context: SinkContext) -> AsyncIterator[MqttSink]:
    """The sink; it holds nothing open, the connection is the service's."""
    yield MqttSink(config, context)


class MqttSink:
    """Publishes notifications: each on several topics, each topic in order."""

    def __init__(self, config: MqttSinkConfig, context: SinkContext) -> None:
        self._config = config
        self._context = context
        self._refused: set[str] = set()

    async def write(self, notifications: Sequence[Notification]) -> None:
        """Publish a batch, and return when the broker has all of it.

        While the broker is away it waits, instead of raising: the host would write the whole
        batch again, and what had arrived of it would arrive twice.
        """
        waiting = [
            (topic, msgspec.json.encode(message))
            for notification in notifications
            for topic, message in messages(notification)
        ]
        pause = FIRST_PAUSE
        while waiting := await self._publish(waiting):
            await trio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _publish(self, batch: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Publish messages in order; those that are to be tried again.

        Nothing waits for the acknowledgement of what is before it. When the connection is lost
        the broker has acknowledged the first ones, so order holds for those that follow.
        """
        try:
            # mypy takes no protocol for a type (python/mypy#4717).
            connection = self._context.service(MqttConnection)  # type: ignore[type-abstract]
            prefix = self._config.prefix or connection.prefix
            outcomes = await connection.publish_all(
                [
                    MqttOutgoing(
                        topic=f"{prefix}/{topic}",
                        payload=payload,
                        qos=self._config.qos,
                        content_type="application/json",
                        message_expiry=EXPIRY,
                    )
                    for topic, payload in batch
                ]
            )
        except Retryable:
            return batch
        again = []
        for message, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, Retryable):
                again.append(message)
            elif outcome is not None:
                self._tell_refusal(message[0], outcome)
        return again

    def _tell_refusal(self, topic: str, refusal: AliciaError) -> None:
        if topic not in self._refused:
            self._refused.add(topic)
            self._context.logger.error("cannot publish on %s: %s", topic, refusal)

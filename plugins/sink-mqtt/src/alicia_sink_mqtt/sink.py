"""The sink at work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import trio

from alicia_scheduler.api import MqttConnection, Notification, Permanent, Retryable, SinkContext
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
        lanes: dict[str, list[bytes]] = {}
        for notification in notifications:
            for topic, message in messages(notification):
                lanes.setdefault(topic, []).append(msgspec.json.encode(message))
        async with trio.open_nursery() as nursery:
            for topic, payloads in lanes.items():
                nursery.start_soon(self._publish_in_order, topic, payloads)

    async def _publish_in_order(self, topic: str, payloads: list[bytes]) -> None:
        for payload in payloads:
            pause = FIRST_PAUSE
            while not await self._publish(topic, payload):
                await trio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)

    async def _publish(self, topic: str, payload: bytes) -> bool:
        """Publish one message; False when it is to be tried again."""
        try:
            # mypy takes no protocol for a type (python/mypy#4717).
            connection = self._context.service(MqttConnection)  # type: ignore[type-abstract]
            await connection.publish(
                f"{self._config.prefix or connection.prefix}/{topic}",
                payload,
                qos=self._config.qos,
                content_type="application/json",
                message_expiry=EXPIRY,
            )
        except Retryable:
            return False
        except Permanent as refusal:
            if topic not in self._refused:
                self._refused.add(topic)
                self._context.logger.error("cannot publish on %s: %s", topic, refusal)
        return True

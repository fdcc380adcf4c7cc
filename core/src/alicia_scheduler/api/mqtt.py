"""The MQTT connection that actions, sinks and services share, as a contract.

The distribution ``alicia-mqtt`` provides it; another engine may take its place by providing the
same. Ask for it with ``context.service(MqttConnection)``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

__all__ = ["MqttConnection", "MqttMessage", "check_topic"]

MAX_TOPIC_BYTES = 65535
"""Longest topic name in UTF-8 bytes (MQTT 5, section 1.5.4)."""


class MqttMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that arrived. ``retain`` tells a stored message from a live one."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


class MqttConnection(Protocol):
    """One supervised connection to a broker: it reconnects by itself, for ever, with back-off."""

    @property
    def connected(self) -> bool:
        """True while the broker answers."""
        ...

    @property
    def prefix(self) -> str:
        """The topic this host publishes below, without a slash at the end: ``alicia/scheduler``."""
        ...

    async def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 0,
        retain: bool = False,
        content_type: str | None = None,
        message_expiry: int | None = None,
        user_properties: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """Publish, and return when it is done: acknowledged by the broker (QoS 1 and 2), or the
        bytes handed to the network (QoS 0).

        Properties are left out on a connection that speaks MQTT 3.1.1. ``message_expiry`` is in
        seconds.

        Raises:
            Retryable: there is no connection, or it was lost before the broker acknowledged.
            Permanent: the broker refused this message; sending it again cannot help.
        """
        ...

    def subscribe(
        self, topic_filter: str, *, qos: int = 1
    ) -> AbstractAsyncContextManager[AsyncIterator[MqttMessage]]:
        """Receive what arrives on a filter while the block is open, across reconnections.

        The buffer is bounded; when its reader is too slow the oldest messages are dropped and
        counted in the log.
        """
        ...


def check_topic(topic: str) -> str | None:
    """Why ``topic`` cannot be published to, as half a sentence, or None when it can.

    Rules of MQTT 5 sections 1.5.4 and 4.7, and of brokers in use: Mosquitto closes the connection
    on control characters, so one bad topic would take all others down.
    """
    if not topic:
        return "is empty"
    try:
        encoded = topic.encode()
    except UnicodeEncodeError:
        return "holds a lone surrogate, which has no UTF-8 form"
    if len(encoded) > MAX_TOPIC_BYTES:
        return f"is {len(encoded)} bytes long; {MAX_TOPIC_BYTES} is the most"
    for character in topic:
        if character in "+#":
            return f"holds the wildcard {character!r}: publish to one topic, named in full"
        if ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0:
            return f"holds the control character U+{ord(character):04X}"
    if topic.startswith("$"):
        return "begins with '$', which is reserved for the broker"
    return None

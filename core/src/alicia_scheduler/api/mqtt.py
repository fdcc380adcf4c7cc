"""The MQTT connection that actions, sinks and services share, as a contract.

The distribution ``alicia-mqtt`` provides it; another engine may take its place by providing the
same. Ask for it with ``context.service(MqttConnection)``.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

import msgspec

from alicia_scheduler.api.errors import AliciaError

__all__ = [
    "MqttConnection",
    "MqttDelivered",
    "MqttMessage",
    "MqttOutbox",
    "MqttOutgoing",
    "MqttSubscription",
    "check_filter",
    "check_topic",
    "topic_matches",
]

MAX_TOPIC_BYTES = 65535
"""Longest topic name in UTF-8 bytes (MQTT 5, section 1.5.4)."""

NOT_IN_TOPICS = re.compile(r"[+#\x00-\x1f\x7f-\x9f\ud800-\udfff]")
"""Wildcards, what Mosquitto closes the connection on, and what has no UTF-8 form."""


class MqttMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message that arrived. ``retain`` tells a stored message from a live one; with
    ``redelivered`` the broker says that it may have sent this one before (DUP)."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    redelivered: bool = False
    response_topic: str | None = None
    correlation_data: bytes | None = None
    user_properties: tuple[tuple[str, str], ...] = ()


class MqttOutgoing(msgspec.Struct, frozen=True, kw_only=True):
    """A message to publish. See :meth:`MqttConnection.publish`."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    content_type: str | None = None
    message_expiry: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    response_topic: str | None = None
    correlation_data: bytes | None = None


class MqttDelivered(msgspec.Struct, frozen=True, kw_only=True):
    """How a message came to be delivered.

    Attributes:
        waited: seconds from when it was first handed over to the broker's acknowledgement.
        sends: how many times it was sent; 0 when it had been acknowledged before this call.
        outage: whether it had to wait for the broker to come back.
        payload: what was sent, when that is what an earlier call had handed over; else None.
    """

    waited: float
    sends: int
    outage: bool = False
    payload: bytes | None = None


class MqttOutbox(Protocol):
    """Messages that wait for the broker, on disk while it is away, bounded and in order."""

    async def deliver(
        self,
        message: MqttOutgoing,
        *,
        key: str,
        lane: str,
        slot: datetime,
        useful_until: datetime | None = None,
        repeat: bool = False,
        sending: Callable[[], object] | None = None,
    ) -> MqttDelivered:
        """Return when the broker has acknowledged the message, whenever that is.

        Nothing is sent for which nobody waits: cancelling this call withdraws the message, unless
        it is under way already. It stays on disk for a repetition to take it up.

        Args:
            message: at QoS 1 or 2. A ``message_expiry`` counts from now on and bounds the wait
                too; without one the broker is told the rest of the window, unless it retains.
            key: names this publish for ever.
            lane: messages of one lane are sent one after the other, by slot.
            slot: the place within the lane.
            useful_until: it is not sent later than this.
            repeat: the same key may have been handed over before, by an earlier attempt or before
                a crash. Then a message that waits is taken up instead of sending another, and one
                that the broker has acknowledged is done.
            sending: called once, right before the message is sent for the first time during this
                call, or at once when an earlier call has sent it: what comes after may answer it.

        Raises:
            Permanent: it was refused, is too old (``expired``), or ended the connection each time
                it was sent (``poison``).
            Retryable: there is no room (``outbox_full``), or the broker could not take it.
        """
        ...


class MqttSubscription(Protocol):
    """What arrives for one reader, oldest first: ``async for message in subscription``."""

    def __aiter__(self) -> AsyncIterator[MqttMessage]: ...

    async def __anext__(self) -> MqttMessage: ...

    def forget(self) -> None:
        """Drop what has arrived so far and was not taken."""
        ...


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

    @property
    def outbox(self) -> MqttOutbox:
        """Where messages wait that must not get lost while the broker is away."""
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
        response_topic: str | None = None,
        correlation_data: bytes | None = None,
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

    async def publish_all(self, messages: Sequence[MqttOutgoing]) -> list[AliciaError | None]:
        """Publish messages in order, none waiting for the acknowledgement of the one before, and
        return when there is an outcome for each: None, or the error that :meth:`publish` would
        raise. One that fails does not hold up the others.
        """
        ...

    def subscribe(
        self, topic_filter: str, *, qos: int = 1, no_local: bool = False
    ) -> AbstractAsyncContextManager[MqttSubscription]:
        """Receive what arrives on a filter while the block is open, across reconnections.

        The buffer is bounded in messages and bytes; when its reader is too slow the oldest
        messages are dropped and counted in the log.

        Args:
            no_local: leave out what this connection itself publishes. Only MQTT 5 can do that
                (section 3.8.3.1), and only while every reader of the filter wants it.
        """
        ...

    async def wait_connection(self, after: int = 0) -> int:
        """Wait until the broker has accepted this connection more often than ``after`` times, and
        return how often it has by now.

        By then every subscription is in place, so whoever says here that they are there can be
        spoken to.

        Raises:
            Retryable: the connection's service ends; ask the context for its successor.
        """
        ...


def check_topic(topic: str) -> str | None:
    """Why ``topic`` cannot be published to, as half a sentence, or None when it can.

    Rules of MQTT 5 sections 1.5.4 and 4.7, and of brokers in use: Mosquitto closes the connection
    on control characters, so one bad topic would take all others down.
    """
    if not topic:
        return "is empty"
    if found := NOT_IN_TOPICS.search(topic):
        character = found[0]
        if character in "+#":
            return f"holds the wildcard {character!r}: publish to one topic, named in full"
        if character >= "\ud800":
            return "holds a lone surrogate, which has no UTF-8 form"
        return f"holds the control character U+{ord(character):04X}"
    if len(topic) > MAX_TOPIC_BYTES // 4 and (size := len(topic.encode())) > MAX_TOPIC_BYTES:
        return f"is {size} bytes long; {MAX_TOPIC_BYTES} is the most"
    if topic.startswith("$"):
        return "begins with '$', which is reserved for the broker"
    return None


def check_filter(topic_filter: str) -> str | None:
    """Why a topic filter cannot be subscribed to, as half a sentence, or None when it can.

    Rules of MQTT 5 sections 1.5.4 and 4.7.1.
    """
    if not topic_filter:
        return "is empty"
    try:
        size = len(topic_filter.encode())
    except UnicodeEncodeError:
        return "holds a lone surrogate, which has no UTF-8 form"
    if size > MAX_TOPIC_BYTES:
        return f"is {size} bytes long; {MAX_TOPIC_BYTES} is the most"
    if any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in topic_filter):
        return "holds a control character"
    levels = topic_filter.split("/")
    if any("#" in level for level in levels[:-1]) or ("#" in levels[-1] and levels[-1] != "#"):
        return "holds a '#' that is not the whole last level"
    if any("+" in level and level != "+" for level in levels):
        return "holds a '+' that is not a whole level"
    return None


def topic_matches(topic_filter: str, topic: str) -> bool:
    """Whether a filter selects a topic (MQTT 5 section 4.7; shared subscriptions, 4.8.2, too)."""
    levels = topic_filter.split("/")
    if levels[0] == "$share":
        levels = levels[2:]
    parts = topic.split("/")
    if parts[0].startswith("$") and levels[0] in ("#", "+"):
        return False
    for index, level in enumerate(levels):
        if level == "#":
            return True
        if index >= len(parts) or level not in ("+", parts[index]):
            return False
    return len(levels) == len(parts)

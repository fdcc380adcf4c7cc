"""Who listens to what: the subscriptions that outlive every link."""

from __future__ import annotations

import logging
from collections import deque
from typing import NamedTuple

import trio

from alicia_scheduler.api import MqttMessage, topic_matches

__all__ = ["Subscription", "Subscriptions"]

BUFFER = 1000
"""Messages that a subscription keeps for a reader that is busy."""

BUFFER_BYTES = 8 * 1024 * 1024
"""Bytes of payload that a subscription keeps; a single message may be longer."""

NUMBERS = 268_435_455
"""Largest subscription identifier (MQTT 5, section 3.8.2.1.2)."""


class Subscription:
    """What arrived for one reader: ``async for message in subscription``.

    Waiting for a message may be cancelled at any time; no message is lost by it.
    """

    def __init__(
        self, topic_filter: str, qos: int, logger: logging.Logger, *, no_local: bool = False
    ) -> None:
        self.topic_filter = topic_filter
        self.qos = qos
        self.no_local = no_local
        self._messages: deque[MqttMessage] = deque()
        self._bytes = 0
        self._arrived = trio.Event()
        self._dropped = 0
        self._logger = logger

    def put(self, message: MqttMessage) -> None:
        """Keep a message; when the reader is too slow, in place of the oldest."""
        self._bytes += len(message.payload)
        while self._messages and (len(self._messages) >= BUFFER or self._bytes > BUFFER_BYTES):
            self._take()
            self._dropped += 1
            if self._dropped == 1:
                self._logger.warning(
                    "the reader of %r is too slow; its oldest messages are dropped",
                    self.topic_filter,
                )
        self._messages.append(message)
        self._arrived.set()

    def forget(self) -> None:
        """See :meth:`alicia_scheduler.api.MqttSubscription.forget`."""
        self._messages.clear()
        self._bytes = 0
        self._tell_dropped()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> MqttMessage:
        await trio.lowlevel.checkpoint()
        while not self._messages:
            self._tell_dropped()
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._take()

    def _take(self) -> MqttMessage:
        message = self._messages.popleft()
        self._bytes -= len(message.payload)
        return message

    def _tell_dropped(self) -> None:
        if self._dropped:
            self._logger.warning(
                "the reader of %r caught up; %d messages were dropped",
                self.topic_filter,
                self._dropped,
            )
            self._dropped = 0


class Terms(NamedTuple):
    """How a filter is subscribed to: at its readers' highest QoS, under which number, and
    without our own messages if none of them wants those."""

    qos: int
    number: int
    no_local: bool


class Subscriptions:
    """All readers, by filter. Each filter has a number, by which brokers with MQTT 5 address it:
    where filters overlap they send one copy for each, and each must reach its own readers only.
    """

    def __init__(self) -> None:
        self._readers: dict[str, list[Subscription]] = {}
        self._numbers: dict[str, int] = {}
        self._last_number = 0
        self._forsaken: set[str] = set()

    def add(self, subscription: Subscription) -> None:
        """Let a reader take part."""
        topic_filter = subscription.topic_filter
        self._forsaken.discard(topic_filter)
        self._readers.setdefault(topic_filter, []).append(subscription)
        if topic_filter not in self._numbers:
            self._last_number = self._last_number % NUMBERS + 1
            self._numbers[topic_filter] = self._last_number

    def remove(self, subscription: Subscription) -> bool:
        """Let a reader go; True when it was the last of its filter."""
        topic_filter = subscription.topic_filter
        self._readers[topic_filter].remove(subscription)
        if self._readers[topic_filter]:
            return False
        del self._readers[topic_filter], self._numbers[topic_filter]
        return True

    def forsake(self, topic_filter: str) -> None:
        """Note a filter that nobody reads any more while there was no broker to be told."""
        self._forsaken.add(topic_filter)

    def take_forsaken(self) -> set[str]:
        """The filters that a resumed session may still have, and that nobody reads."""
        forsaken, self._forsaken = self._forsaken, set()
        return forsaken

    def filters(self) -> list[str]:
        """Every filter that has a reader."""
        return list(self._readers)

    def terms(self, topic_filter: str) -> Terms | None:
        """How to subscribe to a filter, or None when its last reader has gone."""
        readers = self._readers.get(topic_filter)
        if readers is None:
            return None
        return Terms(
            qos=max(reader.qos for reader in readers),
            number=self._numbers[topic_filter],
            no_local=all(reader.no_local for reader in readers),
        )

    def deliver(self, message: MqttMessage, numbers: tuple[int, ...]) -> None:
        """Give a message to its readers: by number where the broker told, else by topic."""
        for topic_filter, readers in self._readers.items():
            if numbers:
                wanted = self._numbers[topic_filter] in numbers
            else:
                wanted = topic_matches(topic_filter, message.topic)
            if wanted:
                for reader in readers:
                    reader.put(message)

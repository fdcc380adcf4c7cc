"""A broker within the test's own process, that speaks the contract :class:`MqttConnection`.

It is quick, needs nothing installed, and goes away and comes back at a word. What only the wire can
show (sessions, TLS, protocol versions) it does not have; for that there is
:class:`alicia_scheduler.testing.mosquitto.Mosquitto`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import trio
from msgspec.structs import replace

from alicia_scheduler.api import (
    AliciaError,
    MqttConnection,
    MqttDelivered,
    MqttMessage,
    MqttOutgoing,
    Permanent,
    Retryable,
    check_filter,
    check_topic,
    topic_matches,
)

__all__ = ["FakeBroker", "FakeConnection"]

BUFFER = 1000
"""Messages that wait for one reader at the most; beyond it the oldest are dropped."""


class FakeBroker:
    """Carries messages between the connections that it gives out.

    Attributes:
        published: everything that was published, oldest first.
        refused: topics that are refused, as by a broker's access rules.
        connects: how often it has been there.
    """

    def __init__(self) -> None:
        self.published: list[MqttOutgoing] = []
        self.refused: set[str] = set()
        self._retained: dict[str, MqttMessage] = {}
        self._subscriptions: list[_Subscription] = []
        self.connects = 1
        self._back = trio.Event()
        self._back.set()
        self._gone = trio.Event()

    @property
    def here(self) -> bool:
        """Whether it answers."""
        return self._back.is_set()

    def go_away(self) -> None:
        """Answer nobody, until :meth:`come_back`."""
        if self.here:
            self._back = trio.Event()
            self._gone.set()

    def come_back(self) -> None:
        """Answer again; who waits in an outbox is served."""
        if not self.here:
            self.connects += 1
            self._gone = trio.Event()
        self._back.set()

    async def wait_until_here(self) -> None:
        """Wait until it answers."""
        await self._back.wait()

    async def wait_until_away(self) -> None:
        """Wait until it answers nobody."""
        await self._gone.wait()

    def connection(self, prefix: str = "alicia/scheduler") -> FakeConnection:
        """A connection to it, to be given to a context as its service ``MqttConnection``."""
        return FakeConnection(self, prefix)

    def on(self, topic_filter: str) -> list[MqttOutgoing]:
        """What was published on a filter, oldest first."""
        return [item for item in self.published if topic_matches(topic_filter, item.topic)]

    def publish(self, message: MqttOutgoing, sender: FakeConnection | None = None) -> None:
        """Take a message and hand it to every reader of its topic, as if from another client.

        Raises:
            Retryable: the broker is away.
            Permanent: the topic cannot be published to, or is refused.
        """
        problem = check_topic(message.topic)
        if problem is not None:
            raise Permanent(f"the topic {message.topic!r} {problem}", error_class="refused")
        if not self.here:
            raise Retryable("there is no connection to the broker", error_class="connection")
        if message.topic in self.refused:
            raise Permanent(f"the broker refuses {message.topic!r}", error_class="refused")
        self.published.append(message)
        arriving = MqttMessage(
            topic=message.topic,
            payload=message.payload,
            qos=message.qos,
            response_topic=message.response_topic,
            correlation_data=message.correlation_data,
            user_properties=message.user_properties,
        )
        if message.retain and message.payload:
            self._retained[message.topic] = replace(arriving, retain=True)
        elif message.retain:
            self._retained.pop(message.topic, None)
        for subscription in self._subscriptions:
            if not (subscription.no_local and subscription.reader is sender):
                subscription.offer(arriving)

    def add(self, subscription: _Subscription) -> None:
        """Begin to hand messages to a reader, the retained ones first."""
        self._subscriptions.append(subscription)
        for message in self._retained.values():
            subscription.offer(message)

    def remove(self, subscription: _Subscription) -> None:
        """Hand nothing more to a reader."""
        self._subscriptions.remove(subscription)


class _Subscription:
    """Implements :class:`alicia_scheduler.api.MqttSubscription`."""

    def __init__(
        self, reader: FakeConnection, topic_filter: str, qos: int, *, no_local: bool
    ) -> None:
        self.reader = reader
        self.no_local = no_local
        self._filter = topic_filter
        self._qos = qos
        self._waiting: deque[MqttMessage] = deque(maxlen=BUFFER)
        self._arrived = trio.Event()

    def offer(self, message: MqttMessage) -> None:
        if topic_matches(self._filter, message.topic):
            self._waiting.append(replace(message, qos=min(message.qos, self._qos)))
            self._arrived.set()

    def forget(self) -> None:
        self._waiting.clear()

    def __aiter__(self) -> _Subscription:
        return self

    async def __anext__(self) -> MqttMessage:
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._waiting.popleft()


class FakeConnection:
    """Implements :class:`MqttConnection` within the process. Made by :meth:`FakeBroker.connection`.

    Attributes:
        prefix: the topic that the host publishes below.
        outbox: where messages wait while the broker is away.
    """

    def __init__(self, broker: FakeBroker, prefix: str) -> None:
        self.prefix = prefix
        self._broker = broker
        self.outbox = FakeOutbox(broker)

    @property
    def connected(self) -> bool:
        """See :class:`MqttConnection`."""
        return self._broker.here

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
        """See :class:`MqttConnection`."""
        await trio.lowlevel.checkpoint()
        self._broker.publish(
            MqttOutgoing(
                topic=topic,
                payload=payload,
                qos=qos,
                retain=retain,
                content_type=content_type,
                message_expiry=message_expiry,
                user_properties=user_properties,
                response_topic=response_topic,
                correlation_data=correlation_data,
            ),
            self,
        )

    async def publish_all(self, messages: Sequence[MqttOutgoing]) -> list[AliciaError | None]:
        """See :class:`MqttConnection`."""
        await trio.lowlevel.checkpoint()
        outcomes: list[AliciaError | None] = []
        for message in messages:
            try:
                self._broker.publish(message, self)
            except (Retryable, Permanent) as failure:
                outcomes.append(failure)
            else:
                outcomes.append(None)
        return outcomes

    @asynccontextmanager
    async def subscribe(
        self, topic_filter: str, *, qos: int = 1, no_local: bool = False
    ) -> AsyncIterator[_Subscription]:
        """See :class:`MqttConnection`."""
        problem = check_filter(topic_filter)
        if problem is not None:
            raise Permanent(f"the filter {topic_filter!r} {problem}", error_class="refused")
        subscription = _Subscription(self, topic_filter, qos, no_local=no_local)
        await trio.lowlevel.checkpoint()
        self._broker.add(subscription)
        try:
            yield subscription
        finally:
            self._broker.remove(subscription)

    async def wait_connection(self, after: int = 0) -> int:
        """See :class:`MqttConnection`."""
        await trio.lowlevel.checkpoint()
        while not (self._broker.here and self._broker.connects > after):
            if self._broker.here:
                await self._broker.wait_until_away()
            await self._broker.wait_until_here()
        return self._broker.connects


class FakeOutbox:
    """Implements :class:`alicia_scheduler.api.MqttOutbox` in memory: lanes go one after another,
    and a key that was delivered is not sent again.

    Attributes:
        waiting: how many messages wait.
        now: tells the time against which ``useful_until`` is held.
    """

    def __init__(self, broker: FakeBroker) -> None:
        self.waiting = 0
        self.now: Callable[[], datetime] = lambda: datetime.now(UTC)
        self._broker = broker
        self._lanes: dict[str, trio.Lock] = {}
        self._delivered: set[str] = set()

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
        """See :class:`alicia_scheduler.api.MqttOutbox`."""
        began, outage = trio.current_time(), not self._broker.here
        self.waiting += 1
        try:
            async with self._lanes.setdefault(lane, trio.Lock()):
                if repeat and key in self._delivered:
                    if sending is not None:
                        sending()
                    return MqttDelivered(waited=0.0, sends=0, payload=message.payload)
                await self._broker.wait_until_here()
                if useful_until is not None and self.now() > useful_until:
                    raise Permanent("the message is of no use any more", error_class="expired")
                if sending is not None:
                    sending()
                self._broker.publish(message)
                self._delivered.add(key)
        finally:
            self.waiting -= 1
        waited = trio.current_time() - began
        return MqttDelivered(waited=waited, sends=1, outage=outage, payload=message.payload)


def _is_one(connection: FakeConnection) -> MqttConnection:
    """For the type checker: it has all that the contract asks for."""
    return connection

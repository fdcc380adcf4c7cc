"""The limits of a connection: what a broker told of its own when it accepted (MQTT 5, section
3.2.2.3), and ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from alicia_mqtt.config import MqttConfig
from alicia_scheduler.api import MqttOutgoing, Permanent

if TYPE_CHECKING:
    from paho.mqtt.properties import Properties

__all__ = [
    "INCOMING_WINDOW",
    "LARGEST_INCOMING",
    "WINDOW",
    "BrokerLimits",
    "keepalive_of",
    "size_of",
]

LARGEST_INCOMING = 1024 * 1024
"""Bytes of the largest message the broker may send."""

INCOMING_WINDOW = 100
"""Most unacknowledged messages the broker may send."""

PING_AFTER = 0.7
"""Share of ``keepalive`` after which a silent broker is asked. When a second such span passes in
silence it is given up, so the loss is noticed within 1.5 times ``keepalive`` (R44)."""

WINDOW = 100
"""Most messages at QoS 1 and 2 that wait for their acknowledgement, if the broker allows it."""

OVERHEAD = 64
"""Bytes of a packet besides those of :func:`size_of`, rounded up."""


def keepalive_of(config: MqttConfig) -> int:
    """Seconds of silence after which the broker is asked for a sign of life."""
    return max(1, round(config.keepalive * PING_AFTER))


def size_of(message: MqttOutgoing) -> int:
    """Bytes of everything in a message that may be long."""
    texts = [message.topic, message.content_type or "", message.response_topic or ""]
    texts += [text for pair in message.user_properties for text in pair]
    size = sum(len(text.encode()) for text in texts) + 5 * len(message.user_properties)
    return size + len(message.payload) + len(message.correlation_data or b"")


class BrokerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits; the defaults are those of a broker that names none, as in MQTT 3.1.1.

    Attributes:
        window: most unacknowledged messages at a time.
        largest: bytes of the largest packet it takes, or None.
        best_qos: the highest QoS it offers.
        retains: whether it keeps retained messages.
        numbers_subscriptions: whether it tells which subscription a message belongs to.
    """

    window: int = WINDOW
    largest: int | None = None
    best_qos: int = 2
    retains: bool = True
    numbers_subscriptions: bool = True

    @classmethod
    def told(cls, properties: Properties | None) -> BrokerLimits:
        """The limits in the properties of a CONNACK; each may be missing there."""
        return cls(
            window=min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW)),
            largest=getattr(properties, "MaximumPacketSize", None),
            best_qos=getattr(properties, "MaximumQoS", 2),
            retains=bool(getattr(properties, "RetainAvailable", 1)),
            numbers_subscriptions=bool(getattr(properties, "SubscriptionIdentifierAvailable", 1)),
        )

    def qos(self, wanted: int) -> int:
        """The QoS to use for a message that should have ``wanted``."""
        return min(wanted, self.best_qos)

    def check(self, message: MqttOutgoing) -> None:
        """Hold back what the broker would answer by closing the connection for everybody.

        Raises:
            Permanent: the message breaks a limit.
        """
        if message.retain and not self.retains:
            raise Permanent("the broker does not keep retained messages", error_class="refused")
        if self.largest is None:
            return
        size = OVERHEAD + size_of(message)
        if size > self.largest:
            raise Permanent(
                f"the message is too large for the broker: about {size} bytes, and it takes"
                f" {self.largest}",
                error_class="payload",
            )

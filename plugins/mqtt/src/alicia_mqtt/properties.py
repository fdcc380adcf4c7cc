"""The properties of MQTT 5 packets, as paho wants them built."""

from __future__ import annotations

from functools import lru_cache

from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from alicia_mqtt.limits import INCOMING_WINDOW, LARGEST_INCOMING
from alicia_scheduler.api import MqttOutgoing

__all__ = [
    "connect_properties",
    "empty_properties",
    "farewell_properties",
    "publish_properties",
    "subscribe_properties",
    "will_properties",
]


def connect_properties(session_expiry: int) -> Properties:
    """Bounds for what the broker sends, and for how many seconds it keeps the session of a client
    that is away (MQTT 5 section 3.1.2.11)."""
    return _properties(
        PacketTypes.CONNECT,
        ReceiveMaximum=INCOMING_WINDOW,
        MaximumPacketSize=LARGEST_INCOMING,
        SessionExpiryInterval=session_expiry,
    )


def will_properties(delay: int) -> Properties:
    """Seconds that the broker waits for our return before it says our last will (3.1.3.2.2)."""
    return _properties(PacketTypes.WILLMESSAGE, WillDelayInterval=delay)


def farewell_properties() -> Properties:
    """Nothing of the session is to be kept (3.14.2.2.2)."""
    return _properties(PacketTypes.DISCONNECT, SessionExpiryInterval=0)


def publish_properties(message: MqttOutgoing) -> Properties | None:
    """What the message asks for (section 3.3.2.3), or None when it asks for nothing."""
    if not (message.user_properties or message.response_topic or message.correlation_data):
        return _often_the_same(message.content_type, message.message_expiry)
    wanted: dict[str, object] = {}
    if message.content_type is not None:
        wanted["ContentType"] = message.content_type
    if message.message_expiry is not None:
        wanted["MessageExpiryInterval"] = message.message_expiry
    if message.response_topic is not None:
        wanted["ResponseTopic"] = message.response_topic
    if message.correlation_data is not None:
        wanted["CorrelationData"] = message.correlation_data
    if message.user_properties:
        wanted["UserProperty"] = list(message.user_properties)
    return _properties(PacketTypes.PUBLISH, **wanted) if wanted else None


class _Packed(Properties):
    """Properties that are packed once: paho takes longer for that than for the message."""

    def __init__(self, properties: Properties) -> None:
        object.__setattr__(self, "_packed", properties.pack())  # type: ignore[no-untyped-call]

    def pack(self) -> bytes:
        """The bytes on the wire."""
        packed: bytes = object.__getattribute__(self, "_packed")
        return packed


@lru_cache(maxsize=64)
def _often_the_same(content_type: str | None, message_expiry: int | None) -> Properties | None:
    wanted: dict[str, object] = {}
    if content_type is not None:
        wanted["ContentType"] = content_type
    if message_expiry is not None:
        wanted["MessageExpiryInterval"] = message_expiry
    return _Packed(_properties(PacketTypes.PUBLISH, **wanted)) if wanted else None


def subscribe_properties(number: int) -> Properties:
    """The number that comes back with each message that matched (section 3.8.2.1.2)."""
    return _properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number)


def empty_properties(packet_type: int) -> Properties:
    """None at all."""
    return _properties(packet_type)


def _properties(packet_type: int, **values: object) -> Properties:
    properties = Properties(packet_type)  # type: ignore[no-untyped-call]  # paho left it untyped
    for name, value in values.items():
        setattr(properties, name, value)
    return properties

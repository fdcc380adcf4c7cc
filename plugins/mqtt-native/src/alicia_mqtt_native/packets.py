"""MQTT 5 packets of a link: built and read by mqtt5, with what it lacks."""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import mqtt5

from alicia_mqtt.config import MqttConfig
from alicia_mqtt.limits import INCOMING_WINDOW, LARGEST_INCOMING, keepalive_of
from alicia_mqtt.requests import Publish
from alicia_scheduler.api import MqttMessage, MqttOutgoing, Permanent

__all__ = [
    "PUBACK",
    "PUBCOMP",
    "PUBREC",
    "Acknowledgement",
    "Unreadable",
    "connect_packet",
    "message_of",
    "name_of",
    "publish_packet",
    "read_packets",
    "speaks_3_1_1",
]

PUBACK, PUBREC, PUBCOMP = 0x40, 0x50, 0x70
ACKNOWLEDGEMENTS = (PUBACK, PUBREC, PUBCOMP)
QOS = (mqtt5.QoS.AT_MOST_ONCE, mqtt5.QoS.AT_LEAST_ONCE, mqtt5.QoS.EXACTLY_ONCE)


class Unreadable(Exception):
    """What came in is no MQTT; there is no way to go on behind it."""


class Acknowledgement(NamedTuple):
    """PUBACK, PUBREC or PUBCOMP: for which packet, with what reason code.

    Read here: Mosquitto uses codes that the standard does not list for them (0x95, too large),
    and mqtt5 refuses those.
    """

    kind: int
    number: int
    code: int


Incoming = Acknowledgement | mqtt5.Packet


def connect_packet(config: MqttConfig, client_id: str, *, resume: bool) -> bytes:
    """The first packet, with the last will."""
    will = mqtt5.Will(
        config.availability_topic,
        payload=b"offline",
        qos=mqtt5.QoS.AT_LEAST_ONCE,
        retain=True,
        will_delay_interval=config.will_delay,
    )
    return mqtt5.ConnectPacket(
        client_id,
        username=config.username,
        password=None if config.password is None else config.password.encode(),
        clean_start=not resume,
        will=will,
        keep_alive=keepalive_of(config),
        session_expiry_interval=config.session_expiry,
        receive_max=INCOMING_WINDOW,
        max_packet_size=LARGEST_INCOMING,
    ).write()


def publish_packet(publish: Publish, number: int | None) -> bytes:
    """A message on the wire; ``number`` is its packet identifier, at QoS 1 and 2.

    Raises:
        Permanent: it has what MQTT cannot carry.
    """
    message = publish.message
    try:
        if _is_plain(message):
            return mqtt5.PublishPacket(
                message.topic,
                message.payload,
                qos=QOS[publish.qos],
                retain=message.retain,
                packet_id=number,
            ).write()
        return mqtt5.PublishPacket(
            message.topic,
            message.payload,
            qos=QOS[publish.qos],
            retain=message.retain,
            packet_id=number,
            message_expiry_interval=message.message_expiry,
            content_type=message.content_type,
            response_topic=message.response_topic,
            correlation_data=message.correlation_data,
            user_properties=list(message.user_properties) or None,
        ).write()
    except (ValueError, OverflowError, TypeError) as error:
        raise Permanent(
            f"MQTT cannot carry this message: {error}", error_class="payload"
        ) from error


def _is_plain(message: MqttOutgoing) -> bool:
    """Whether it has no properties: passing those as None takes as long as all the rest."""
    return not (
        message.content_type is not None
        or message.message_expiry is not None
        or message.response_topic is not None
        or message.correlation_data is not None
        or message.user_properties
    )


def read_packets(data: bytes) -> Iterator[tuple[Incoming, int]]:
    """The whole packets in ``data``, each with where it ends. What follows the last is yet to be
    completed.

    Raises:
        Unreadable: it is no packet.
    """
    view = memoryview(data)
    at, end = 0, len(data)
    while at + 2 <= end:
        kind, size = data[at], data[at + 1]
        if kind in ACKNOWLEDGEMENTS and 2 <= size < 0x80:
            if at + 2 + size > end:
                return
            number = data[at + 2] << 8 | data[at + 3]
            code = data[at + 4] if size > 2 else 0
            at += 2 + size
            yield Acknowledgement(kind, number, code), at
            continue
        packet, size = _read(view[at:])
        if packet is None:
            return
        at += size
        if isinstance(packet, mqtt5.PubAckPacket | mqtt5.PubRecPacket | mqtt5.PubCompPacket):
            # A long one, with properties of which we have no use.
            yield Acknowledgement(kind, packet.packet_id, int(packet.reason_code)), at
        else:
            yield packet, at


def _read(view: memoryview) -> tuple[mqtt5.Packet | None, int]:
    try:
        return mqtt5.read(view)
    except IndexError:  # there is more to come
        return None, 0
    except (ValueError, OverflowError) as error:
        raise Unreadable(str(error)) from error
    except BaseException as panic:
        # Rust's panics are no exceptions to Python; mqtt5 has one for texts that are not UTF-8.
        if type(panic).__name__ == "PanicException":
            raise Unreadable("a text that is not UTF-8") from panic
        raise


def speaks_3_1_1(answer: bytes) -> bool:
    """Whether a CONNACK is one of MQTT 3.1.1 (section 3.2): two bytes, where MQTT 5 has three."""
    return answer[:2] == b"\x20\x02"


def message_of(packet: mqtt5.PublishPacket) -> MqttMessage:
    """A message that came in, as readers get it."""
    return MqttMessage(
        topic=packet.topic,
        payload=packet.payload,
        qos=int(packet.qos),
        retain=packet.retain,
        redelivered=packet.duplicate,
        response_topic=packet.response_topic,
        correlation_data=packet.correlation_data,
        user_properties=tuple(packet.user_properties),
    )


def name_of(code: IntEnum) -> str:
    """A reason code for people."""
    return code.name.replace("_", " ").capitalize()

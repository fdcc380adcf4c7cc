"""Packets as they come: in pieces, with codes that mqtt5 does not know, or no packets at all."""

from itertools import pairwise

import mqtt5
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_mqtt.requests import Publish
from alicia_mqtt_native.packets import (
    PUBACK,
    PUBREC,
    Acknowledgement,
    Unreadable,
    publish_packet,
    read_packets,
)
from alicia_scheduler.api import MqttOutgoing, Permanent

STREAM = [
    mqtt5.PublishPacket("a/b", b"x" * 200, subscription_ids=[7]),
    mqtt5.PubAckPacket(300),
    mqtt5.PublishPacket("a", b"", qos=mqtt5.QoS.AT_LEAST_ONCE, packet_id=1),
    mqtt5.PubRecPacket(2, reason_code=mqtt5.PubRecReasonCode.NOT_AUTHORIZED),
    mqtt5.PubAckPacket(4, reason_str="y" * 300),
    mqtt5.PingRespPacket(),
]


def read_in_pieces(pieces):
    read, left = [], b""
    for piece in pieces:
        left += piece
        whole = list(read_packets(left))
        read += [packet for packet, _ in whole]
        left = left[whole[-1][1] :] if whole else left
    assert left == b""
    return read


@given(st.lists(st.integers(0, 800), max_size=20))
def test_however_the_stream_is_cut_the_packets_are_the_same(cuts):
    stream = b"".join(packet.write() for packet in STREAM)
    places = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    first, second, third, fourth, fifth, last = read_in_pieces(pieces)
    assert (first.topic, len(first.payload), first.subscription_ids) == ("a/b", 200, [7])
    assert second == Acknowledgement(PUBACK, 300, 0)
    assert (third.topic, third.packet_id) == ("a", 1)
    assert fourth == Acknowledgement(PUBREC, 2, 0x87)
    assert fifth == Acknowledgement(PUBACK, 4, 0)
    assert isinstance(last, mqtt5.PingRespPacket)


@given(st.integers(0, 255))
def test_every_reason_code_of_an_acknowledgement_is_read(code):
    [(read, _)] = read_packets(bytes([PUBACK, 3, 0, 9, code]))
    assert read == Acknowledgement(PUBACK, 9, code)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_told_as_unreadable(data):
    try:
        ends = [end for _, end in read_packets(data)]
    except Unreadable:
        return
    assert all(end <= len(data) for end in ends)


# mqtt5 0.8 panics on it, which Python tells as an error that nobody can catch.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_topic_that_is_no_text_is_unreadable():
    with pytest.raises(Unreadable, match="UTF-8"):
        list(read_packets(b"\x30\x04\x00\x01\xff\x00"))


@pytest.mark.parametrize(
    "fields",
    [
        {"message_expiry": 2**32},
        {"content_type": "x" * 65_536},
        {"user_properties": (("a", "\ud800"),)},
    ],
)
def test_what_mqtt_cannot_carry_is_refused_before_the_wire(fields):
    message = MqttOutgoing(topic="a", payload=b"", **fields)
    with pytest.raises(Permanent, match="cannot carry"):
        publish_packet(Publish(message), None)

"""What is refused when the event is written."""

import msgspec
import pytest

from alicia_action_mqtt import MqttPublishConfig
from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert


@pytest.mark.parametrize(
    "topic", ["", "home/#", "home/+/set", "a\0b", "a\nb", "$SYS/x", "\ud800", "x" * 65536]
)
def test_a_topic_that_cannot_be_published_to(topic):
    with pytest.raises(ConfigError) as refusal:
        MqttPublishConfig(topic=topic)
    assert refusal.value.path == ("topic",)
    assert refusal.value.hint
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("message", [{1, object()}, {"key": object()}, "\ud800"])
def test_a_message_that_has_no_form_on_the_wire(message):
    with pytest.raises(ConfigError) as refusal:
        MqttPublishConfig(message=message)
    assert refusal.value.path == ("message",)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("qos", 3),
        ("qos", "1"),
        ("retain", "yes"),
        ("metadata", "some"),
        ("qoss", 1),
        ("message_expiry", 0),
        ("outbox", "no"),
        ("user_properties", {"a": 1}),
        ("max_payload", -1),
    ],
)
def test_a_wrong_value_or_an_unknown_key(key, value):
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert({key: value}, MqttPublishConfig)


def test_an_action_needs_no_key_at_all():
    config = msgspec.convert({}, MqttPublishConfig)
    assert (config.topic, config.message, config.qos, config.retain) == (None, {}, 0, False)


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"message_base64": "%%"}, ("message_base64",)),
        ({"message_base64": "AA=="} | {"message": 1}, ("message_base64",)),
        ({"message": "x" * 300_000}, ("message",)),
        ({"message": "abc", "max_payload": 2}, ("message",)),
        ({"content_type": "a\0"}, ("content_type",)),
        ({"user_properties": {"a": "\ud800"}}, ("user_properties",)),
        ({"user_properties": {"x" * 70_000: "a"}}, ("user_properties",)),
        ({"ack": {"topic": ""}}, ("ack", "topic")),
        ({"ack": {"topic": "a#"}}, ("ack", "topic")),
        ({"ack": {"topic": "a\nb"}}, ("ack", "topic")),
        ({"ack": {"topic": "a/+", "correlate": True}}, ("ack", "topic")),
    ],
)
def test_a_value_that_can_never_work_is_refused_with_its_place_and_what_to_write(fields, path):
    with pytest.raises(ConfigError) as refusal:
        convert(fields, MqttPublishConfig)
    assert refusal.value.path == path
    assert refusal.value.hint


@pytest.mark.parametrize(
    "ack", [{}, {"topic": "a", "timeout": 0}, {"topic": "a", "match": 1}, {"topic": "a", "tmo": 1}]
)
def test_an_ack_that_means_nothing_is_refused(ack):
    with pytest.raises(ConfigError) as refusal:
        convert({"ack": ack}, MqttPublishConfig)
    assert refusal.value.path[0] == "ack"

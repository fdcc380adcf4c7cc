"""What is refused when the event is written."""

import msgspec
import pytest

from alicia_action_mqtt import MqttPublishConfig
from alicia_scheduler.api import ConfigError


@pytest.mark.parametrize(
    "topic", ["", "home/#", "home/+/set", "a\0b", "a\nb", "$SYS/x", "\ud800", "x" * 65536]
)
def test_a_topic_that_cannot_be_published_to(topic):
    with pytest.raises(ConfigError) as refusal:
        MqttPublishConfig(topic=topic)
    assert refusal.value.path == ("topic",)
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize("message", [{1, object()}, {"key": object()}, "\ud800"])
def test_a_message_that_has_no_form_on_the_wire(message):
    with pytest.raises(ConfigError) as refusal:
        MqttPublishConfig(message=message)
    assert refusal.value.path == ("message",)


@pytest.mark.parametrize(
    ("key", "value"),
    [("qos", 3), ("qos", "1"), ("retain", "yes"), ("metadata", "some"), ("qoss", 1)],
)
def test_a_wrong_value_or_an_unknown_key(key, value):
    with pytest.raises(msgspec.ValidationError, match=key):
        msgspec.convert({key: value}, MqttPublishConfig)


def test_an_action_needs_no_key_at_all():
    config = msgspec.convert({}, MqttPublishConfig)
    assert (config.topic, config.message, config.qos, config.retain) == (None, {}, 0, False)

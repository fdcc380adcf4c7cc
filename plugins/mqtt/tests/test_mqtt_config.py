"""What the configuration refuses, and what it never shows."""

import io

import msgspec
import pytest
from rich.console import Console

from alicia_mqtt import MqttConfig
from alicia_scheduler.api import ConfigError


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", ""),
        ("port", 0),
        ("port", 65536),
        ("keepalive", 0),
        ("connect_timeout", 0.0),
        ("client_id", ""),
        ("prefix", ""),
        ("prefix", "home/#"),
        ("prefix", "home/"),
        ("password", "secret"),
        ("ca_file", "ca.pem"),
    ],
)
def test_a_value_that_can_never_work_is_refused_by_its_key(key, value):
    with pytest.raises(ConfigError) as refusal:
        MqttConfig(**{key: value})
    assert refusal.value.path == (key,)


def test_an_unknown_key_is_refused():
    with pytest.raises(msgspec.ValidationError, match="hots"):
        msgspec.convert({"hots": "localhost"}, MqttConfig)


def test_a_refusal_while_decoding_keeps_the_place():
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"prefix": "home/"}, MqttConfig)
    assert isinstance(error.value.__cause__, ConfigError)
    assert error.value.__cause__.path == ("prefix",)


def test_the_password_is_in_no_representation():
    config = MqttConfig(username="alicia", password="canary")
    console = Console(width=200, file=io.StringIO())
    console.print(config)
    assert "canary" not in repr(config) + str(config) + console.file.getvalue()
    assert "alicia" in console.file.getvalue()
    assert "'***'" in repr(config)


def test_a_missing_password_is_shown_as_missing():
    assert "password=None" in repr(MqttConfig())

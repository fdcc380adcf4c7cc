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
        ("host", "two words"),
        ("host", "mqtt://broker.lan"),
        ("host", "broker.lan:1883"),
        ("host", "[::1]"),
        ("host", "broker\0"),
        ("username", "a\0"),
        ("client_id", "a\n"),
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


@pytest.mark.parametrize("host", ["localhost", "broker.lan", "10.0.0.1", "::1", "fe80::1%eth0"])
def test_names_and_addresses_are_hosts(host):
    assert MqttConfig(host=host).host == host


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        ("mqtts://broker.lan:8883", "write the name alone"),
        ("broker.lan:8883", 'host = "broker.lan", port = 8883'),
        ("[::1]", 'host = "::1"'),
    ],
)
def test_a_host_in_another_form_is_told_the_right_one(host, hint):
    with pytest.raises(ConfigError) as refusal:
        MqttConfig(host=host)
    assert hint in str(refusal.value.hint)


@pytest.mark.parametrize("key", ["ca_file", "cert_file", "key_file"])
def test_a_file_that_is_not_there_is_named_when_the_configuration_is_checked(key, tmp_path):
    there = tmp_path / "there.pem"
    there.touch()
    files = {"cert_file": str(there), key: "/nowhere/file.pem"}
    with pytest.raises(ConfigError, match=r"there is no file '/nowhere/file\.pem'") as refusal:
        MqttConfig(tls=True, **files)
    assert refusal.value.path == (key,)


def test_a_password_that_cannot_be_sent_is_refused_and_not_shown():
    with pytest.raises(ConfigError) as refusal:
        MqttConfig(username="alicia", password="canary\0")
    assert refusal.value.path == ("password",)
    assert "canary" not in str(refusal.value)


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

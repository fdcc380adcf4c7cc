"""What is refused when the event is written: each field wrong in turn."""

import pytest

from alicia_action_service import HomeAssistantConfig, ServiceCallConfig
from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert

HOST = {"service": "scheduler.skip", "data": {"event_id": "a"}}
HOME = {"via": "home_assistant", "service": "light.turn_on"}
BUS = {"via": "bus", "request_topic": "t"}
TTS = {"via": "bus", "preset": "tts", "data": {"text": "x"}}
SONOS = {
    "via": "bus",
    "preset": "sonos",
    "data": {"command": "stop"},
    "target": {"speaker_id": "a"},
}
FORGET = {**BUS, "expect_answer": False}
LINK = {"url": "http://home:8123", "token": "canary"}


@pytest.mark.parametrize("right", [HOST, HOME, BUS, TTS, SONOS, FORGET])
def test_what_is_right_is_taken(right):
    assert isinstance(convert(right, ServiceCallConfig), ServiceCallConfig)


WRONG = [
    # base, what is changed, where the mistake is told, a part of the hint
    (HOST, {"via": "bsu"}, "via", "bus"),
    (HOST, {"vai": "bus"}, "vai", "did you mean 'via'?"),
    (HOST, {"service": None}, "service", "domain.service"),
    (HOST, {"service": "trigger"}, "service", "scheduler.trigger"),
    (HOST, {"service": "Light.Turn On"}, "service", "domain.service"),
    (HOST, {"service": 5}, "service", None),
    (HOST, {"data": "x"}, "data", None),
    (HOST, {"target": {"entity_id": "light.a"}}, "target", "home_assistant"),
    (HOST, {"preset": "tts"}, "preset", 'via = "bus"'),
    (HOST, {"request_topic": "t"}, "request_topic", 'via = "bus"'),
    (HOST, {"reply_topic": "t"}, "reply_topic", 'via = "bus"'),
    (HOST, {"error_topic": "t"}, "error_topic", 'via = "bus"'),
    (HOST, {"match": "id"}, "match", 'via = "bus"'),
    (HOST, {"success": {"path": "a"}}, "success", 'via = "bus"'),
    (HOST, {"expect_answer": True}, "expect_answer", 'via = "bus"'),
    (HOST, {"envelope": "alicia"}, "envelope", 'via = "bus"'),
    (HOST, {"qos": 2}, "qos", 'via = "bus"'),
    (HOST, {"answer_timeout": 5}, "answer_timeout", 'via = "bus"'),
    (HOST, {"return_response": True}, "return_response", "home_assistant"),
    (HOST, {"idempotent": True}, "idempotent", "home_assistant"),
    (HOME, {"preset": "tts"}, "preset", 'via = "bus"'),
    (HOME, {"service": "light"}, "service", "light.turn_on"),
    (HOME, {"target": {"entity": "light.a"}}, "target.entity", "did you mean 'entity_id'?"),
    (HOME, {"target": {"entity_id": "kitchen lamp"}}, "target.entity_id", "light.kitchen"),
    (HOME, {"target": {"entity_id": ["light.a", "b"]}}, "target.entity_id.1", "light.kitchen"),
    (HOME, {"target": {"entity_id": []}}, "target.entity_id", "id of one entity"),
    (HOME, {"target": {"area_id": ""}}, "target.area_id", "id of one area"),
    (HOME, {"target": {"area_id": 5}}, "target.area_id", None),
    (HOME, {"target": "light.a"}, "target", None),
    (HOME, {"return_response": "yes"}, "return_response", None),
    (HOME, {"idempotent": 1}, "idempotent", None),
    (HOME, {"answer_timeout": 0}, "answer_timeout", None),
    (HOME, {"answer_timeout": 100_000}, "answer_timeout", None),
    (BUS, {"service": "light.on"}, "service", "host"),
    (BUS, {"return_response": True}, "return_response", "home_assistant"),
    (BUS, {"idempotent": True}, "idempotent", "home_assistant"),
    (BUS, {"request_topic": None}, "request_topic", "preset"),
    (BUS, {"preset": "tts"}, "request_topic", "request_topic for any other"),
    (BUS, {"request_topic": "a/+"}, "request_topic", None),
    (BUS, {"request_topic": ""}, "request_topic", None),
    (BUS, {"reply_topic": "a/#"}, "reply_topic", None),
    (BUS, {"error_topic": "a\0"}, "error_topic", None),
    (BUS, {"target": {"a": "b"}}, "target", "request_topic"),
    (BUS, {"match": ""}, "match", None),
    (BUS, {"success": {"path": "a..b"}}, "success.path", "synthesis.success"),
    (BUS, {"success": {"path": ""}}, "success.path", None),
    (BUS, {"success": {"equals": 1}}, "success", None),
    (BUS, {"success": {"path": "a", "equal": 1}}, "success.equal", "did you mean 'equals'?"),
    (BUS, {"expect_answer": "no"}, "expect_answer", None),
    (BUS, {"envelope": "hybrid"}, "envelope", "none"),
    (BUS, {"qos": 3}, "qos", None),
    (BUS, {"answer_timeout": -1}, "answer_timeout", None),
    (BUS, {"data": {"request_id": 1}}, "data.request_id", "leave it out"),
    (BUS, {"data": {"reply_topic": 1}}, "data.reply_topic", "leave it out"),
    (BUS, {"match": "id", "data": {"id": 1}}, "data.id", "leave it out"),
    (FORGET, {"reply_topic": "t"}, "reply_topic", "expect_answer = true"),
    (FORGET, {"error_topic": "t"}, "error_topic", "expect_answer = true"),
    (FORGET, {"match": "t"}, "match", "expect_answer = true"),
    (FORGET, {"success": {"path": "a"}}, "success", "expect_answer = true"),
    (TTS, {"preset": "tss"}, "preset", "did you mean 'tts'?"),
    (TTS, {"preset": "xyzzy"}, "preset", "presets: tts, assistant"),
    (TTS, {"data": {}}, "data", "text, voice"),
    (TTS, {"data": {"text": "x", "voise": "y"}}, "data.voise", "did you mean 'voice'?"),
    (TTS, {"target": {"speaker_id": "a"}}, "target.speaker_id", "none"),
    (SONOS, {"data": {"command": "explode"}}, "data.command", "set_volume, play_audio, stop"),
    (SONOS, {"data": {"command": ["stop"]}}, "data.command", "set_volume, play_audio, stop"),
    (SONOS, {"target": {}}, "target", "speaker_id"),
    (SONOS, {"target": {"speaker": "a"}}, "target", "speaker_id"),
    (SONOS, {"target": {"speaker_id": "a/b"}}, "target.speaker_id", "without /"),
    (SONOS, {"target": {"speaker_id": "+"}}, "target.speaker_id", "without /"),
    (SONOS, {"target": {"speaker_id": ""}}, "target.speaker_id", "without /"),
    (SONOS, {"target": {"speaker_id": ["a", "b"]}}, "target.speaker_id", "one name"),
    (SONOS, {"target": {"speaker_id": "a", "room": "b"}}, "target.room", "speaker_id"),
]


@pytest.mark.parametrize(("base", "change", "place", "hint"), WRONG)
def test_a_wrong_field_is_named_with_the_fix(base, change, place, hint):
    with pytest.raises(ConfigError) as refusal:
        convert({**base, **change}, ServiceCallConfig)
    assert ".".join(map(str, refusal.value.path)) == place
    assert hint is None or hint in str(refusal.value)


def test_every_option_is_wrong_in_some_case():
    told = {place.split(".")[0] for _, _, place, _ in WRONG}
    assert told >= set(ServiceCallConfig.__struct_fields__)


LINK_WRONG = [
    ({"url": None}, "url"),
    ({"url": "home:8123"}, "url"),
    ({"url": "ftp://home"}, "url"),
    ({"url": "http://"}, "url"),
    ({"url": "http://home:99999"}, "url"),
    ({"url": "http://me:pw@home"}, "url"),
    ({"url": "http://home?x=1"}, "url"),
    ({"url": "http://home/ /x"}, "url"),
    ({"token": ""}, "token"),
    ({"token": "canary canary"}, "token"),
    ({"token": "Bearer\ncanary"}, "token"),
    ({"token": "canarÿ"}, "token"),
    ({"connect_timeout": 0}, "connect_timeout"),
    ({"keepalive": 1}, "keepalive"),
    ({"verify": False}, "verify"),
    ({"url": "https://home", "verify": "no"}, "verify"),
    ({"ca_file": "x.pem"}, "ca_file"),
    ({"url": "https://home", "ca_file": "/nowhere/x.pem"}, "ca_file"),
    ({"url": "https://home", "ca_file": "x", "verify": False}, "ca_file"),
    ({"tokn": "x"}, "tokn"),
]


@pytest.mark.parametrize(("change", "place"), LINK_WRONG)
def test_a_wrong_field_of_the_connection_is_named(change, place):
    with pytest.raises(ConfigError) as refusal:
        convert({**LINK, **change}, HomeAssistantConfig)
    assert ".".join(map(str, refusal.value.path)) == place
    assert "canar" not in str(refusal.value)


def test_every_option_of_the_connection_is_wrong_in_some_case():
    told = {place for _, place in LINK_WRONG}
    assert told >= set(HomeAssistantConfig.__struct_fields__)


@pytest.mark.parametrize(
    ("url", "where"),
    [
        ("http://home:8123", ("home", 8123, "/api/websocket", False)),
        ("http://home", ("home", 80, "/api/websocket", False)),
        ("https://home/", ("home", 443, "/api/websocket", True)),
        ("wss://home/ha", ("home", 443, "/ha/api/websocket", True)),
        ("ws://supervisor/core/websocket", ("supervisor", 80, "/core/websocket", False)),
        ("ws://[::1]:8123/api/websocket", ("::1", 8123, "/api/websocket", False)),
    ],
)
def test_the_door_of_an_address(url, where):
    config = HomeAssistantConfig(url=url, token="x")
    assert (config.host, config.port, config.resource, config.secure) == where

"""What the action publishes, seen by another client of a real Mosquitto."""

import copy
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
from msgspec.structs import replace

from alicia_action_mqtt import MqttPublishConfig
from alicia_action_mqtt.publish import open_publish, preview_publish
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import (
    EventExecution,
    MqttConnection,
    Permanent,
    Retryable,
    ServiceUnavailable,
)
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Recorder, free_port, until_connected

SLOT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 6, 30, 0, 250_000, tzinfo=UTC)

EXECUTION = EventExecution(
    execution_id="x-1", event_id="kitchen-lights", revision=1, scheduled_time=SLOT
)
METADATA = {
    "event_id": "kitchen-lights",
    "execution_id": "x-1",
    "scheduled_time": 1772346600.0,
    "execution_time": 1772346600.25,
    "triggered_by": "scheduler",
}


@asynccontextmanager
async def action_at(port, **config):
    context = TestContext("action-mqtt")
    context.instant = NOW
    config = MqttConfig(host="127.0.0.1", port=port, prefix="test", **config)
    async with (
        open_mqtt(config, TestContext("mqtt")) as connection,
        open_publish(context) as action,
    ):
        context.services[MqttConnection] = connection
        yield action, connection


async def published(mosquitto, config, topic="t"):
    """The message that another client sees, and the result of the execution."""
    with Recorder(mosquitto.port, topic) as recorder:
        async with action_at(mosquitto.port) as (action, connection):
            await until_connected(connection)
            result = await action.run(config, EXECUTION)
            [message] = await recorder.wait_for(topic)
    return message, result


async def test_an_object_is_published_with_the_metadata_of_its_execution(mosquitto):
    message, _ = await published(mosquitto, MqttPublishConfig(topic="t", message={"state": "ON"}))
    assert message.json() == {"state": "ON", **METADATA}


async def test_the_result_tells_what_was_sent(mosquitto):
    config = MqttPublishConfig(topic="t", message={"state": "ON"}, qos=1, retain=True)
    _, result = await published(mosquitto, config)
    assert result == {
        "action_type": "mqtt_publish",
        "topic": "t",
        "message": {"state": "ON", **METADATA},
        "qos": 1,
        "retain": True,
        "status": "success",
    }


async def test_the_definition_stays_as_it_was_written(mosquitto):
    written = {"state": "ON", "nested": {"a": [1]}}
    config = MqttPublishConfig(topic="t", message=copy.deepcopy(written))
    await published(mosquitto, config)
    assert config.message == written


async def test_metadata_stands_above_keys_of_the_same_name(mosquitto):
    config = MqttPublishConfig(topic="t", message={"execution_id": "mine", "state": "ON"})
    message, _ = await published(mosquitto, config)
    assert message.json()["execution_id"] == "x-1"


async def test_without_a_topic_it_is_that_of_the_event(mosquitto):
    message, result = await published(
        mosquitto, MqttPublishConfig(message={}), topic="alicia/event/kitchen-lights"
    )
    assert message.json() == METADATA
    assert result["topic"] == "alicia/event/kitchen-lights"


@pytest.mark.parametrize(
    ("value", "payload"),
    [
        ("ON", b"ON"),
        ("grün", "grün".encode()),
        ("", b""),
        (21.5, b"21.5"),
        (3, b"3"),
        (True, b"true"),
        (None, b"null"),
        ([1, "a", {"b": 2}], b'[1,"a",{"b":2}]'),
    ],
)
async def test_what_is_no_object_is_published_untouched(mosquitto, value, payload):
    message, result = await published(mosquitto, MqttPublishConfig(topic="t", message=value))
    assert message.payload == payload
    assert result["message"] == value


async def test_the_metadata_of_what_is_no_object_travels_beside_it(mosquitto):
    message, _ = await published(mosquitto, MqttPublishConfig(topic="t", message="ON"))
    assert dict(message.user_properties) == {key: str(value) for key, value in METADATA.items()}


async def test_metadata_can_travel_beside_an_object_too(mosquitto):
    config = MqttPublishConfig(topic="t", message={"state": "ON"}, metadata="user_properties")
    message, _ = await published(mosquitto, config)
    assert message.json() == {"state": "ON"}
    assert dict(message.user_properties)["execution_id"] == "x-1"


@pytest.mark.parametrize("value", [{"state": "ON"}, "ON"])
async def test_metadata_can_be_left_out(mosquitto, value):
    message, _ = await published(
        mosquitto, MqttPublishConfig(topic="t", message=value, metadata="none")
    )
    assert message.payload in (b'{"state":"ON"}', b"ON")
    assert message.user_properties == ()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_the_qos_is_the_configured_one(mosquitto, qos):
    message, _ = await published(mosquitto, MqttPublishConfig(topic="t", message="ON", qos=qos))
    assert message.qos == qos


async def test_a_retained_message_stays_at_the_broker(mosquitto):
    await published(mosquitto, MqttPublishConfig(topic="t", message="ON", retain=True))
    with Recorder(mosquitto.port, "t") as late:
        [message] = await late.wait_for("t")
    assert (message.payload, message.retain) == (b"ON", True)


async def test_without_a_broker_it_fails_and_may_be_tried_again():
    async with action_at(free_port()) as (action, _):
        with pytest.raises(Retryable, match="no connection"):
            await action.run(MqttPublishConfig(topic="t", qos=1), EXECUTION)


async def test_it_is_not_done_before_the_broker_acknowledged(mosquitto):
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        mosquitto.freeze()
        with trio.move_on_after(0.3) as scope:
            await action.run(MqttPublishConfig(topic="t", qos=1), EXECUTION)
        assert scope.cancelled_caught
        mosquitto.thaw()
        await action.run(MqttPublishConfig(topic="t", qos=1), EXECUTION)


async def test_a_broker_that_dies_before_acknowledging_is_a_failure(mosquitto):
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        mosquitto.freeze()
        async with trio.open_nursery() as nursery:

            async def run():
                with pytest.raises(Retryable, match="lost"):
                    await action.run(MqttPublishConfig(topic="t", qos=1), EXECUTION)

            nursery.start_soon(run)
            await trio.sleep(0.1)
            mosquitto.kill()


async def test_a_refused_message_fails_for_good(mosquitto, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite test/#\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        with pytest.raises(Permanent, match="not authorised"):
            await action.run(MqttPublishConfig(topic="secret", qos=1), EXECUTION)


async def test_without_the_service_it_fails_and_may_be_tried_again():
    async with open_publish(TestContext("action-mqtt")) as action:
        with pytest.raises(ServiceUnavailable):
            await action.run(MqttPublishConfig(topic="t"), EXECUTION)


async def test_a_preview_shows_what_an_attempt_would_publish(mosquitto):
    config = MqttPublishConfig(topic="t", message={"state": "ON"}, qos=1, retain=True)
    message, _ = await published(mosquitto, config)
    shown = preview_publish(config, replace(EXECUTION, start_time=NOW))
    assert shown == {
        "topic": "t",
        "payload": message.payload.decode(),
        "qos": 1,
        "retain": True,
        "user_properties": {},
    }


def test_a_preview_shows_metadata_that_travels_beside_the_message():
    config = MqttPublishConfig(message="on", metadata="user_properties")
    shown = preview_publish(config, EXECUTION)
    assert shown["topic"] == "alicia/event/kitchen-lights"
    assert shown["payload"] == "on"
    assert shown["user_properties"]["event_id"] == "kitchen-lights"

"""What the action publishes, seen by another client of a real Mosquitto."""

import copy
from datetime import UTC, datetime, timedelta

import pytest
import trio
import trio.testing
from msgspec.structs import force_setattr, replace

from alicia_action_mqtt import MqttPublishConfig
from alicia_action_mqtt.publish import open_publish, preview_publish
from alicia_scheduler.api import (
    EventExecution,
    Permanent,
    Retryable,
    ServiceUnavailable,
    Trigger,
)
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Recorder, free_port, until_connected
from alicia_scheduler.testing.relay import Relay

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


async def published(action_at, mosquitto, config, topic="t", execution=EXECUTION):
    """The message that another client sees, and the result of the execution."""
    with Recorder(mosquitto.port, topic) as recorder:
        async with action_at(mosquitto.port) as (action, connection):
            await until_connected(connection)
            result = await action.run(config, execution)
            message = (await recorder.wait_for(topic))[-1]
    return message, result


async def test_an_object_is_published_with_the_metadata_of_its_execution(action_at, mosquitto):
    message, _ = await published(
        action_at, mosquitto, MqttPublishConfig(topic="t", message={"state": "ON"})
    )
    assert message.json() == {"state": "ON", **METADATA}


async def test_the_result_tells_what_was_sent(action_at, mosquitto):
    config = MqttPublishConfig(topic="t", message={"state": "ON"}, qos=1, retain=True)
    _, result = await published(action_at, mosquitto, config)
    assert result == {
        "action_type": "mqtt_publish",
        "topic": "t",
        "message": {"state": "ON", **METADATA},
        "qos": 1,
        "retain": True,
        "status": "success",
    }


async def test_the_definition_stays_as_it_was_written(action_at, mosquitto):
    written = {"state": "ON", "nested": {"a": [1]}}
    config = MqttPublishConfig(topic="t", message=copy.deepcopy(written))
    await published(action_at, mosquitto, config)
    assert config.message == written


async def test_metadata_stands_above_keys_of_the_same_name(action_at, mosquitto):
    config = MqttPublishConfig(topic="t", message={"execution_id": "mine", "state": "ON"})
    message, _ = await published(action_at, mosquitto, config)
    assert message.json()["execution_id"] == "x-1"


async def test_without_a_topic_it_is_that_of_the_event(action_at, mosquitto):
    message, result = await published(
        action_at, mosquitto, MqttPublishConfig(message={}), topic="alicia/event/kitchen-lights"
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
async def test_what_is_no_object_is_published_untouched(action_at, mosquitto, value, payload):
    message, result = await published(
        action_at, mosquitto, MqttPublishConfig(topic="t", message=value)
    )
    assert message.payload == payload
    assert result["message"] == value


async def test_the_metadata_of_what_is_no_object_travels_beside_it(action_at, mosquitto):
    message, _ = await published(action_at, mosquitto, MqttPublishConfig(topic="t", message="ON"))
    assert dict(message.user_properties) == {
        **{key: str(value) for key, value in METADATA.items()},
        "attempt": "1",
        "idempotency_key": EXECUTION.idempotency_key,
    }


async def test_metadata_can_travel_beside_an_object_too(action_at, mosquitto):
    config = MqttPublishConfig(topic="t", message={"state": "ON"}, metadata="user_properties")
    message, _ = await published(action_at, mosquitto, config)
    assert message.json() == {"state": "ON"}
    assert dict(message.user_properties)["execution_id"] == "x-1"


@pytest.mark.parametrize("value", [{"state": "ON"}, "ON"])
async def test_metadata_can_be_left_out(action_at, mosquitto, value):
    message, _ = await published(
        action_at, mosquitto, MqttPublishConfig(topic="t", message=value, metadata="none")
    )
    assert message.payload in (b'{"state":"ON"}', b"ON")
    assert message.user_properties == ()


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_the_qos_is_the_configured_one(action_at, mosquitto, qos):
    message, _ = await published(
        action_at, mosquitto, MqttPublishConfig(topic="t", message="ON", qos=qos)
    )
    assert message.qos == qos


async def test_a_retained_message_stays_at_the_broker(action_at, mosquitto):
    await published(action_at, mosquitto, MqttPublishConfig(topic="t", message="ON", retain=True))
    with Recorder(mosquitto.port, "t") as late:
        [message] = await late.wait_for("t")
    assert (message.payload, message.retain) == (b"ON", True)


@pytest.mark.parametrize("options", [{"qos": 0}, {"qos": 1, "outbox": False}])
async def test_what_does_not_wait_fails_without_a_broker_and_may_be_tried_again(action_at, options):
    async with action_at(free_port()) as (action, _):
        with pytest.raises(Retryable, match="no connection") as failure:
            await action.run(MqttPublishConfig(topic="t", **options), EXECUTION)
    assert failure.value.error_class == "connection"


@pytest.mark.parametrize("qos", [1, 2])
async def test_with_the_broker_away_it_waits_and_is_done_when_the_broker_is_back(
    action_at, mosquitto, qos
):
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with action_at(relay.port) as (action, _), trio.open_nursery() as nursery:
            results = []

            async def run():
                results.append(await action.run(MqttPublishConfig(topic="t", qos=qos), EXECUTION))

            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked()
            assert results == []
            relay.join()
            [arrived] = await recorder.wait_for("t")
    [result] = results
    assert arrived.qos == qos
    assert result["status"] == "success"
    assert (result["outbox"]["sends"], result["outbox"]["repeated"]) == (1, False)


async def given_up(action, connection, config):
    """An attempt that is cancelled once its message waits in the outbox."""
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(action.run, config, EXECUTION)
            while not len(connection.outbox):
                await trio.sleep(0.01)
            nursery.cancel_scope.cancel()


async def test_the_next_attempt_takes_up_the_message_of_the_one_that_was_given_up(
    action_at, mosquitto
):
    config = MqttPublishConfig(topic="t", qos=1)
    with Relay(mosquitto.port, joined=False) as relay, Recorder(mosquitto.port, "t") as recorder:
        async with action_at(relay.port) as (action, connection):
            await given_up(action, connection, config)
            relay.join()
            again = replace(EXECUTION, retry_count=1)
            result = await action.run(config, again)
            end = replace(EXECUTION, scheduled_time=SLOT + timedelta(1))
            await action.run(MqttPublishConfig(topic="t", message="end", qos=1), end)
            first, last = await recorder.wait_for("t", 2)
    assert (first.json()["execution_id"], last.payload) == ("x-1", b"end")
    assert result["outbox"]["repeated"]
    assert result["message"] == first.json()


async def test_what_ran_again_after_a_crash_takes_it_up_too(action_at, mosquitto, tmp_path):
    config = MqttPublishConfig(topic="t", qos=1)
    async with action_at(free_port(), state_dir=tmp_path) as (action, connection):
        await given_up(action, connection, config)
    again = replace(EXECUTION, execution_id="x-2", trigger=Trigger.RECOVERY)
    with Recorder(mosquitto.port, "t") as recorder:
        async with action_at(mosquitto.port, state_dir=tmp_path) as (action, _):
            result = await action.run(config, again)
            [arrived] = await recorder.wait_for("t")
    assert arrived.json()["execution_id"] == result["message"]["execution_id"] == "x-1"


async def test_too_late_for_its_window_it_fails_for_good(action_at):
    async with action_at(free_port()) as (action, _):
        with pytest.raises(Permanent) as late:
            await action.run(
                MqttPublishConfig(topic="t", qos=1), replace(EXECUTION, useful_until=SLOT)
            )
    assert late.value.error_class == "expired"


async def test_the_broker_is_told_the_rest_of_the_window(action_at, mosquitto):
    for config in (
        MqttPublishConfig(topic="t", qos=0),
        MqttPublishConfig(topic="t", qos=1),
        MqttPublishConfig(topic="t", qos=1, outbox=False),
    ):
        execution = replace(EXECUTION, useful_until=NOW + timedelta(minutes=10))
        message, _ = await published(action_at, mosquitto, config, execution=execution)
        assert message.message_expiry == 600


async def test_a_retained_message_does_not_expire_unless_it_says_so(action_at, mosquitto):
    execution = replace(EXECUTION, useful_until=NOW + timedelta(minutes=10))
    config = MqttPublishConfig(topic="t", qos=1, retain=True)
    message, _ = await published(action_at, mosquitto, config, execution=execution)
    assert message.message_expiry is None
    # Another topic: on the first one its message is retained, and comes to every reader again.
    config = replace(config, topic="later", message_expiry=60)
    message, _ = await published(action_at, mosquitto, config, topic="later", execution=execution)
    assert message.message_expiry == 60


async def test_it_is_not_done_before_the_broker_acknowledged(action_at, mosquitto):
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        mosquitto.freeze()
        with trio.move_on_after(0.3) as scope:
            await action.run(MqttPublishConfig(topic="t", qos=1), EXECUTION)
        assert scope.cancelled_caught
        mosquitto.thaw()
        await action.run(MqttPublishConfig(topic="t", qos=1), EXECUTION)


async def test_a_broker_that_dies_before_acknowledging_is_a_failure_without_the_outbox(
    action_at, mosquitto
):
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        mosquitto.freeze()
        async with trio.open_nursery() as nursery:

            async def run():
                with pytest.raises(Retryable, match="lost") as loss:
                    await action.run(MqttPublishConfig(topic="t", qos=1, outbox=False), EXECUTION)
                assert loss.value.error_class == "connection"

            nursery.start_soon(run)
            await trio.testing.wait_all_tasks_blocked(0.1)
            mosquitto.kill()


async def test_a_refused_message_fails_for_good(action_at, mosquitto, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite test/#\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        for outbox in (True, False):
            with pytest.raises(Permanent, match="not authorised") as refusal:
                await action.run(MqttPublishConfig(topic="s", qos=1, outbox=outbox), EXECUTION)
            assert refusal.value.error_class == "refused"


async def test_without_the_service_it_fails_and_may_be_tried_again():
    async with open_publish(TestContext("action-mqtt")) as action:
        with pytest.raises(ServiceUnavailable):
            await action.run(MqttPublishConfig(topic="t"), EXECUTION)


async def test_a_preview_shows_what_an_attempt_would_publish(action_at, mosquitto):
    config = MqttPublishConfig(topic="t", message={"state": "ON"}, qos=1, retain=True)
    message, _ = await published(action_at, mosquitto, config)
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


# -- payloads and properties -----------------------------------------------------------------------


async def test_bytes_are_sent_as_they_are(action_at, mosquitto):
    config = MqttPublishConfig(topic="t", message_base64="AP+A", qos=1)
    message, result = await published(action_at, mosquitto, config)
    assert message.payload == b"\x00\xff\x80"
    assert message.content_type is None
    assert result["message_base64"] == "AP+A"
    assert dict(message.user_properties)["execution_id"] == "x-1"


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({}, "application/json"),
        ({"message": 21.5}, "application/json"),
        ({"message": "ON"}, None),
        ({"message": "ON", "content_type": "text/plain"}, "text/plain"),
        ({"content_type": ""}, None),
    ],
)
async def test_the_content_type_is_that_of_the_payload_or_the_configured_one(
    action_at, mosquitto, fields, told
):
    message, _ = await published(action_at, mosquitto, MqttPublishConfig(topic="t", **fields))
    assert message.content_type == told


async def test_user_properties_of_one_s_own_come_first(action_at, mosquitto):
    config = MqttPublishConfig(topic="t", message="ON", user_properties={"room": "kitchen"})
    message, _ = await published(action_at, mosquitto, config)
    assert message.user_properties[0] == ("room", "kitchen")
    assert len(message.user_properties) == 8


# -- what a template can do at run time ------------------------------------------------------------


def filled(config, **fields):
    """A configuration as a template has filled it, past the checks of when it was written."""
    for name, value in fields.items():
        force_setattr(config, name, value)
    return config


@pytest.mark.parametrize(
    "topic", ["", "home/#", "home/+/set", "a\0b", "a\nb", "$SYS/x", "\ud800", "x" * 65536]
)
@pytest.mark.parametrize("qos", [0, 1])
async def test_a_topic_that_became_impossible_fails_for_good_and_alone(
    action_at, mosquitto, topic, qos
):
    async with action_at(mosquitto.port) as (action, connection):
        await until_connected(connection)
        config = filled(MqttPublishConfig(topic="t", qos=qos), topic=topic)
        if topic:  # an empty one is that of the event
            with pytest.raises(Permanent) as refusal:
                await action.run(config, EXECUTION)
            assert refusal.value.error_class == "topic"
        await action.run(MqttPublishConfig(topic="t", qos=qos), EXECUTION)


@pytest.mark.parametrize(
    "fields", [{"message": "\ud800"}, {"message": "x" * 300_000}, {"message_base64": "%%"}]
)
async def test_a_payload_that_became_impossible_fails_for_good(action_at, fields):
    async with action_at(free_port()) as (action, _):
        with pytest.raises(Permanent) as refusal:
            await action.run(filled(MqttPublishConfig(topic="t", qos=1), **fields), EXECUTION)
    assert refusal.value.error_class == "payload"

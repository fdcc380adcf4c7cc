"""The sink against a real Mosquitto, seen by another client."""

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pytest
import trio

from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import ConfigError, MqttConnection, Notification
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Recorder, until_connected
from alicia_sink_mqtt import MqttSinkConfig
from alicia_sink_mqtt.sink import open_sink

AT = datetime(2026, 3, 1, 6, 30, tzinfo=UTC)


def notifications(count, event_type="event_created"):
    return [
        Notification(
            event_type=event_type,
            event_data={"event_id": "lights"},
            timestamp=AT,
            source="event_scheduler",
            sequence=number,
        )
        for number in range(1, count + 1)
    ]


def sequences(recorder, topic):
    return [message.json()["sequence"] for message in recorder.of(topic)]


@asynccontextmanager
async def sink_at(port, **config):
    context = TestContext("sink-mqtt")
    service = open_mqtt(MqttConfig(host="127.0.0.1", port=port), TestContext("mqtt"))
    async with service as connection, open_sink(MqttSinkConfig(**config), context) as sink:
        context.services[MqttConnection] = connection
        yield sink, connection


async def test_topics_begin_with_the_prefix_of_the_connection(mosquitto):
    with Recorder(mosquitto.port, "alicia/#") as recorder:
        async with sink_at(mosquitto.port) as (sink, _):
            await sink.write(notifications(1))
            [whole] = await recorder.wait_for("alicia/scheduler/events")
            [own] = await recorder.wait_for("alicia/scheduler/event_created")
    assert (
        whole.json()
        == own.json()
        == {
            "event_type": "event_created",
            "event_data": {"event_id": "lights"},
            "timestamp": 1772346600.0,
            "source": "event_scheduler",
            "sequence": 1,
        }
    )


async def test_they_are_acknowledged_never_retained_and_marked_as_json(mosquitto):
    with Recorder(mosquitto.port, "alicia/#") as recorder:
        async with sink_at(mosquitto.port) as (sink, _):
            await sink.write(notifications(1))
            [message] = await recorder.wait_for("alicia/scheduler/events")
    assert (message.qos, message.retain) == (1, False)
    assert (message.content_type, message.message_expiry) == ("application/json", 3600)


async def test_the_prefix_can_be_another(mosquitto):
    with Recorder(mosquitto.port, "house/#") as recorder:
        async with sink_at(mosquitto.port, prefix="house/clock", qos=0) as (
            sink,
            _,
        ):
            await sink.write(notifications(1))
            [message] = await recorder.wait_for("house/clock/events")
    assert message.qos == 0


async def test_each_topic_is_in_order(mosquitto):
    with Recorder(mosquitto.port, "alicia/#") as recorder:
        async with sink_at(mosquitto.port) as (sink, _):
            await sink.write(notifications(200))
        await recorder.wait_for("alicia/scheduler/events", 200)
        await recorder.wait_for("alicia/scheduler/event_created", 200)
    assert sequences(recorder, "alicia/scheduler/events") == list(range(1, 201))
    assert sequences(recorder, "alicia/scheduler/event_created") == list(range(1, 201))


async def test_with_the_broker_away_it_waits_and_loses_nothing(mosquitto):
    async with sink_at(mosquitto.port) as (sink, connection):
        await until_connected(connection)
        mosquitto.kill()
        await until_connected(connection, False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sink.write, notifications(20))
            await trio.sleep(0.3)
            mosquitto.start()
            with Recorder(mosquitto.port, "alicia/#") as recorder:
                await recorder.wait_for("alicia/scheduler/events", 20)
    assert sequences(recorder, "alicia/scheduler/events") == list(range(1, 21))


async def test_waiting_for_the_broker_can_be_cancelled(mosquitto):
    mosquitto.stop()
    async with sink_at(mosquitto.port) as (sink, _):
        with trio.move_on_after(0.2) as scope:
            await sink.write(notifications(1))
    assert scope.cancelled_caught


async def test_a_topic_that_the_broker_refuses_does_not_hold_up_the_others(
    mosquitto, tmp_path, caplog
):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite alicia/scheduler/events\ntopic read #\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    with Recorder(mosquitto.port, "alicia/scheduler/events") as recorder:
        async with sink_at(mosquitto.port) as (sink, _):
            with trio.fail_after(60):
                await sink.write(notifications(5))
            await recorder.wait_for("alicia/scheduler/events", 5)
    told = [r for r in caplog.records if r.name.endswith("sink-mqtt")]
    assert [record.getMessage().split(":")[0] for record in told] == [
        "cannot publish on event_created"
    ]


@pytest.mark.parametrize("prefix", ["", "a/#", "a/", "/a"])
def test_a_prefix_that_cannot_be_published_below_is_refused(prefix):
    with pytest.raises(ConfigError) as refusal:
        MqttSinkConfig(prefix=prefix)
    assert refusal.value.path == ("prefix",)


def test_an_unknown_key_is_refused():
    with pytest.raises(msgspec.ValidationError, match="topic"):
        msgspec.convert({"topic": "a"}, MqttSinkConfig)

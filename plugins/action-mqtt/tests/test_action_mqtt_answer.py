"""Executions that are complete when somebody has answered."""

from __future__ import annotations

from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
import trio
from msgspec.structs import replace

from alicia_action_mqtt import MqttPublishConfig
from alicia_action_mqtt.answer import is_answer
from alicia_action_mqtt.config import AckConfig
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import EventExecution, MqttMessage, Retryable
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Recorder, until_connected
from alicia_scheduler.testing.relay import Relay

EXECUTION = EventExecution(
    execution_id="x-1",
    event_id="lamp",
    revision=1,
    scheduled_time=datetime(2026, 3, 1, 6, 30, tzinfo=UTC),
)


def answer(payload=b"", **fields):
    return MqttMessage(topic="a", payload=payload, **fields)


@pytest.mark.parametrize(
    ("payload", "match", "expected"),
    [
        (b"", None, True),
        (b"done, thanks", "done", True),
        (b"failed", "done", False),
        (b"\xff done", "done", True),
        (b'{"state": "ON", "n": 1}', {"state": "ON"}, True),
        (b'{"state": "OFF"}', {"state": "ON"}, False),
        (b'{"lamp": {"state": "ON", "on": 1}}', {"lamp": {"state": "ON"}}, True),
        (b'{"lamp": "ON"}', {"lamp": {"state": "ON"}}, False),
        (b'{"on": true}', {"on": 1}, False),
        (b'{"n": 1.0}', {"n": 1}, True),
        (b"{}", {"state": None}, False),
        (b"[1]", {"state": "ON"}, False),
        (b"no json", {"state": "ON"}, False),
        (b"[" * 100_000, {"state": "ON"}, False),
    ],
)
def test_an_answer_is_told_by_a_part_of_its_text_or_by_its_fields(payload, match, expected):
    assert is_answer(answer(payload), match, None) is expected


def test_a_stored_message_is_no_answer():
    assert not is_answer(answer(retain=True), None, None)


def test_of_those_with_correlation_data_only_ours_is():
    assert is_answer(answer(correlation_data=b"ours"), None, b"ours")
    assert not is_answer(answer(correlation_data=b"theirs"), None, b"ours")
    assert is_answer(answer(correlation_data=b"theirs"), None, None)


def test_a_receiver_that_cannot_repeat_it_is_judged_by_the_match():
    assert is_answer(answer(b"done"), "done", b"ours")
    assert not is_answer(answer(b"failed"), "done", b"ours")


@asynccontextmanager
async def receiver(port, reply):
    """Another client, that answers on ``answers`` to what comes on ``t``."""
    config = MqttConfig(host="127.0.0.1", port=port, prefix="other")
    async with (
        open_mqtt(config, TestContext("mqtt", instance="other")) as connection,
        trio.open_nursery() as nursery,
    ):
        await until_connected(connection)

        async def serve(task_status):
            async with connection.subscribe("t") as messages:
                task_status.started()
                async for message in messages:
                    await reply(connection, message)

        await nursery.start(serve)
        yield
        nursery.cancel_scope.cancel()


def asking(qos=1, **ack):
    return MqttPublishConfig(topic="t", qos=qos, ack=AckConfig(topic="answers", **ack))


@pytest.mark.parametrize("qos", [0, 1, 2])
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_it_is_complete_when_the_answer_has_come_and_keeps_it(
    action_at, mosquitto, qos, protocol
):
    async def reply(connection, message):
        await connection.publish("answers", b'{"state": "busy"}')
        await connection.publish("answers", b'{"state": "ON", "by": "lamp"}')

    async with (
        receiver(mosquitto.port, reply),
        action_at(mosquitto.port, protocol=protocol) as (action, connection),
    ):
        await until_connected(connection)
        result = await action.run(asking(qos, match={"state": "ON"}), EXECUTION)
    assert result["ack"] == {"topic": "answers", "payload": {"state": "ON", "by": "lamp"}}


async def test_an_answer_can_be_asked_for_by_mqtt_5(action_at, mosquitto):
    async def reply(connection, message):
        await connection.publish(message.response_topic, b"no", correlation_data=b"another")
        await connection.publish(
            message.response_topic, b"yes", correlation_data=message.correlation_data
        )

    async with (
        receiver(mosquitto.port, reply),
        action_at(mosquitto.port) as (action, connection),
    ):
        await until_connected(connection)
        result = await action.run(asking(correlate=True), EXECUTION)
    assert result["ack"]["payload"] == "yes"


async def test_without_an_answer_it_fails_and_the_next_attempt_asks_again(action_at, mosquitto):
    with Recorder(mosquitto.port, "t") as recorder:
        async with action_at(mosquitto.port) as (action, connection):
            await until_connected(connection)
            for attempt in (0, 1):
                execution = replace(EXECUTION, retry_count=attempt)
                with pytest.raises(Retryable, match="no answer came on 'answers'") as silence:
                    await action.run(asking(timeout=0.2), execution)
                assert silence.value.error_class == "ack_timeout"
            await recorder.wait_for("t", 2)


async def test_what_was_said_before_is_no_answer(action_at, mosquitto):
    with Recorder(mosquitto.port, "none") as other:
        other.publish("answers", b"done", retain=True)
        async with action_at(mosquitto.port) as (action, connection):
            await until_connected(connection)
            with pytest.raises(Retryable, match="no answer"):
                await action.run(asking(timeout=0.3), EXECUTION)


async def test_with_the_broker_away_the_answer_is_waited_for_from_the_delivery_on(
    action_at, mosquitto
):
    async def reply(connection, message):
        await connection.publish("answers", b"done")

    results = []
    with Relay(mosquitto.port, joined=False) as relay:
        async with (
            receiver(mosquitto.port, reply),
            action_at(relay.port) as (action, _),
            trio.open_nursery() as nursery,
        ):

            async def run():
                results.append(await action.run(asking(timeout=4), EXECUTION))

            nursery.start_soon(run)
            await trio.sleep(4.2)
            assert results == []
            relay.join()
    assert results[0]["ack"]["payload"] == "done"


@pytest.mark.parametrize("qos", [1, 2])
async def test_what_came_while_the_message_waited_is_no_answer(action_at, mosquitto, qos):
    with Relay(mosquitto.port) as relay, Recorder(mosquitto.port, "t") as other:
        async with action_at(relay.port) as (action, connection):
            await until_connected(connection)
            # The broker keeps for a lost connection what comes for its subscriptions.
            async with connection.subscribe("answers"), trio.open_nursery() as nursery:
                relay.cut()
                await until_connected(connection, False)

                async def run():
                    with pytest.raises(Retryable, match="no answer"):
                        await action.run(asking(qos, timeout=0.5), EXECUTION)

                nursery.start_soon(run)
                other.publish("answers", b"done")
                await trio.sleep(0.2)
                relay.join()
        await other.wait_for("t")

"""Publishing many messages at once."""

import trio

from alicia_scheduler.api import MqttOutgoing, Permanent, Retryable
from alicia_scheduler.testing.mosquitto import Recorder, free_port, until_connected


def messages(count, topic="a", qos=1):
    return [MqttOutgoing(topic=topic, payload=b"%d" % number, qos=qos) for number in range(count)]


async def test_a_batch_arrives_in_order_whatever_its_length(mosquitto, connect):
    mosquitto.configure("max_queued_messages 0")
    mosquitto.restart()
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            assert await connection.publish_all(messages(500)) == [None] * 500
        arrived = await recorder.wait_for("a", 500)
    assert [int(message.payload) for message in arrived] == list(range(500))


async def test_one_that_is_refused_does_not_hold_up_the_others(mosquitto, connect, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite open/#\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    batch = [
        MqttOutgoing(topic=topic, payload=b"", qos=1)
        for topic in ("open/1", "secret/x", "no/+/topic", "open/2")
    ]
    with Recorder(mosquitto.port, "open/#") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            first, secret, no_topic, last = await connection.publish_all(batch)
        await recorder.wait_for("open/2")
    assert (first, last) == (None, None)
    assert isinstance(secret, Permanent)
    assert isinstance(no_topic, Permanent)
    assert no_topic.error_class == "topic"


async def test_without_a_broker_all_may_be_tried_again(connect):
    async with connect(free_port()) as connection:
        outcomes = await connection.publish_all(messages(3))
    assert [type(outcome) for outcome in outcomes] == [Retryable] * 3


async def test_a_loss_ends_the_batch_and_what_was_not_acknowledged_may_be_tried_again(
    mosquitto, connect
):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        mosquitto.freeze()
        outcomes = []

        async def publish():
            outcomes.extend(await connection.publish_all(messages(50)))

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                await trio.sleep(0.2)
                mosquitto.kill()
    assert {type(outcome) for outcome in outcomes} <= {Retryable, type(None)}
    assert isinstance(outcomes[-1], Retryable)


async def test_many_tasks_at_the_same_turn_each_get_their_own_outcome(mosquitto, connect):
    outcomes = {}

    async def publish(topic):
        try:
            await connection.publish(topic, b"")
        except Permanent as wrong:
            outcomes[topic] = wrong.error_class
        else:
            outcomes[topic] = "sent"

    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        async with trio.open_nursery() as nursery:
            for topic in ("a", "b/#", "c"):
                nursery.start_soon(publish, topic)
    assert outcomes == {"a": "sent", "b/#": "topic", "c": "sent"}

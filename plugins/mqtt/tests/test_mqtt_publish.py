"""Publishing to a real Mosquitto."""

import pytest
import trio
import trio.testing

from alicia_mqtt.limits import BrokerLimits
from alicia_scheduler.api import MqttOutgoing, Permanent, Retryable
from alicia_scheduler.testing.mosquitto import Recorder, free_port, until_connected


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_message_arrives_as_it_was_sent_at_its_qos(mosquitto, connect, protocol, qos):
    with Recorder(mosquitto.port, "home/#") as recorder:
        async with connect(mosquitto.port, protocol=protocol) as connection:
            await until_connected(connection)
            await connection.publish("home/lamp", b"\x00\xff on", qos=qos)
            [message] = await recorder.wait_for("home/lamp")
    assert (message.payload, message.qos, message.retain) == (b"\x00\xff on", qos, False)


async def test_a_retained_message_waits_for_later_subscribers(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        await connection.publish("home/mode", b"night", qos=1, retain=True)
    with Recorder(mosquitto.port, "home/#") as recorder:
        [message] = await recorder.wait_for("home/mode")
    assert (message.payload, message.retain) == (b"night", True)


async def test_properties_travel_with_mqtt_5(mosquitto, connect):
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port, protocol="5") as connection:
            await until_connected(connection)
            await connection.publish(
                "a",
                b"{}",
                content_type="application/json",
                message_expiry=60,
                user_properties=(("k", "1"), ("k", "2")),
            )
            [message] = await recorder.wait_for("a")
    assert message.content_type == "application/json"
    assert message.message_expiry == 60
    assert message.user_properties == (("k", "1"), ("k", "2"))


async def test_properties_are_left_out_with_3_1_1(mosquitto, connect):
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port, protocol="3.1.1") as connection:
            await until_connected(connection)
            await connection.publish("a", b"{}", message_expiry=60, user_properties=(("k", "1"),))
            [message] = await recorder.wait_for("a")
    assert (message.message_expiry, message.user_properties) == (None, ())


async def test_one_after_the_other_arrives_in_order(mosquitto, connect):
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            for number in range(100):
                await connection.publish("a", b"%d" % number, qos=1)
        arrived = await recorder.wait_for("a", 100)
    assert [message.payload for message in arrived] == [b"%d" % number for number in range(100)]


@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_a_thousand_at_a_time_arrive_once_each(mosquitto, connect, qos):
    mosquitto.configure("max_queued_messages 0")
    mosquitto.restart()
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            async with trio.open_nursery() as nursery:
                for number in range(1000):
                    payload = b"%d" % number
                    nursery.start_soon(lambda p=payload: connection.publish("a", p, qos=qos))
        arrived = await recorder.wait_for("a", 1000)
    assert sorted(int(message.payload) for message in arrived) == list(range(1000))


@pytest.mark.parametrize("topic", ["", "a/#", "a/+", "a\0b", "$SYS/x", "\ud800", "x" * 65536])
async def test_what_is_no_topic_fails_alone_and_never_reaches_the_wire(mosquitto, connect, topic):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        with pytest.raises(Permanent, match="topic"):
            await connection.publish(topic, b"", qos=1)
        await connection.publish("still/alive", b"", qos=1)


@pytest.mark.parametrize("qos", [1, 2])
async def test_a_message_that_the_broker_refuses_is_not_taken_for_sent(
    mosquitto, connect, tmp_path, qos
):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite open/#\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        with pytest.raises(Permanent):
            await connection.publish("secret/x", b"", qos=qos)
        await connection.publish("open/x", b"", qos=qos)


async def test_the_broker_s_refusal_is_told_with_its_reason(mosquitto, connect, tmp_path):
    rules = tmp_path / "rules"
    rules.write_text("topic readwrite open/#\n")
    mosquitto.configure(f"acl_file {rules}")
    mosquitto.restart()
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        with pytest.raises(Permanent, match=r"not authorised.*0x87"):
            await connection.publish("secret/x", b"", qos=1)


async def test_a_message_too_large_for_the_broker_fails_alone(mosquitto, connect):
    mosquitto.configure("max_packet_size 2000")
    mosquitto.restart()
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        with pytest.raises(Permanent, match="too large"):
            await connection.publish("a", b"x" * 2000, qos=1)
        await connection.publish("a", b"x" * 1000, qos=1)


async def test_without_a_broker_a_publish_fails_at_once_and_may_be_tried_again(connect):
    async with connect(free_port()) as connection:
        with pytest.raises(Retryable, match="no connection to the broker"):
            await connection.publish("a", b"", qos=1)


async def test_a_cancelled_publish_ends_at_once_and_frees_its_place(mosquitto, connect):
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            mosquitto.freeze()
            for _ in range(3):
                with trio.move_on_after(0.1) as scope:
                    async with trio.open_nursery() as nursery:
                        for _ in range(400):
                            nursery.start_soon(lambda: connection.publish("a", b"late", qos=1))
                assert scope.cancelled_caught
            mosquitto.thaw()
            with trio.fail_after(60):
                await connection.publish("a", b"last", qos=1)
        await recorder.until(
            lambda: (
                recorder.of("a")[-1:] != []
                and any(message.payload == b"last" for message in recorder.of("a"))
            )
        )


async def test_a_cancelled_publish_that_was_not_sent_yet_never_is(mosquitto, connect):
    # Mosquitto lets 20 messages wait for their acknowledgement; what is beyond stays here.
    with Recorder(mosquitto.port, "a") as recorder:
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            mosquitto.freeze()
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(lambda: connection.publish("a", b"late", qos=1))
                await trio.testing.wait_all_tasks_blocked(0.2)
                nursery.cancel_scope.cancel()
            mosquitto.thaw()
            await connection.publish("a", b"last", qos=1)
        await recorder.until(lambda: any(m.payload == b"last" for m in recorder.of("a")))
    assert len(recorder.of("a")) <= 21


@pytest.mark.parametrize(
    "fields",
    [
        {"user_properties": (("ä" * 400, "ö" * 400),)},
        {"content_type": "x" * 1500},
        {"response_topic": "x" * 1500},
        {"correlation_data": b"x" * 1500},
    ],
)
def test_all_that_is_long_counts_for_the_largest_packet_of_the_broker(fields):
    limits = BrokerLimits(largest=1000)
    limits.check(MqttOutgoing(topic="t", payload=b"x" * 900))
    with pytest.raises(Permanent, match="too large"):
        limits.check(MqttOutgoing(topic="t", payload=b"", **fields))

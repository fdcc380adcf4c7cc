"""Receiving from a real Mosquitto."""

import pytest
import trio

from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.api import Permanent, Retryable
from alicia_scheduler.testing.context import TestContext
from alicia_scheduler.testing.mosquitto import Recorder, until_connected
from alicia_scheduler.testing.relay import Relay

END = b"end"


async def payloads_until_end(messages):
    payloads = []
    with trio.fail_after(60):
        while (message := await anext(messages)).payload != END:
            payloads.append(message.payload)
    return payloads


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
@pytest.mark.parametrize("qos", [0, 1, 2])
async def test_messages_arrive_in_order_with_their_qos(mosquitto, connect, protocol, qos):
    async with connect(mosquitto.port, protocol=protocol) as connection:
        await until_connected(connection)
        async with connection.subscribe("in/#", qos=2) as messages:
            for number in range(20):
                await connection.publish("in/x", b"%d" % number, qos=qos)
            arrived = [await anext(messages) for _ in range(20)]
    assert [int(message.payload) for message in arrived] == list(range(20))
    assert {(message.topic, message.qos, message.retain) for message in arrived} == {
        ("in/x", qos, False)
    }


async def test_a_stored_message_is_told_from_a_live_one(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        await connection.publish("in/x", b"stored", qos=1, retain=True)
        async with connection.subscribe("in/x") as messages:
            stored = await anext(messages)
            await connection.publish("in/x", b"live", qos=1, retain=True)
            live = await anext(messages)
    assert (stored.payload, stored.retain) == (b"stored", True)
    assert (live.payload, live.retain) == (b"live", False)


async def test_user_properties_arrive(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        async with connection.subscribe("in/x") as messages:
            await connection.publish("in/x", b"", user_properties=(("k", "1"), ("k", "2")))
            message = await anext(messages)
    assert message.user_properties == (("k", "1"), ("k", "2"))


async def test_a_message_on_overlapping_filters_reaches_each_reader_once(mosquitto, connect):
    async with connect(mosquitto.port, protocol="5") as connection:
        await until_connected(connection)
        async with (
            connection.subscribe("in/#") as wide,
            connection.subscribe("in/x") as narrow,
            connection.subscribe("in/x") as twin,
        ):
            for payload in (b"1", b"2", END):
                await connection.publish("in/x", payload, qos=1)
            for messages in (wide, narrow, twin):
                assert await payloads_until_end(messages) == [b"1", b"2"]


async def test_when_one_of_two_readers_goes_the_other_stays(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        async with connection.subscribe("in/x") as messages:
            async with connection.subscribe("in/x"):
                pass
            await connection.publish("in/x", END, qos=1)
            assert await payloads_until_end(messages) == []


async def test_the_broker_stops_sending_when_the_last_reader_has_gone(mosquitto, connect):
    # With 3.1.1 a copy for the old filter could not be told from one for the new.
    async with connect(mosquitto.port, protocol="3.1.1") as connection:
        await until_connected(connection)
        async with connection.subscribe("in/x"):
            pass
        # A filter that the broker does not take for the old one, but that matches the topic.
        async with connection.subscribe("in/+") as messages:
            await connection.publish("in/x", b"once", qos=1)
            await connection.publish("in/x", END, qos=1)
            assert await payloads_until_end(messages) == [b"once"]


async def test_a_subscription_made_without_a_broker_works_once_it_is_there(mosquitto, connect):
    mosquitto.stop()
    async with connect(mosquitto.port) as connection, connection.subscribe("in/x") as messages:
        mosquitto.start()
        await until_connected(connection)
        with Recorder(mosquitto.port, "test/availability") as other:
            await other.wait_for("test/availability")  # which follows the subscriptions
            other.publish("in/x", b"hello")
            with trio.fail_after(60):
                assert (await anext(messages)).payload == b"hello"


async def test_a_burst_of_five_thousand_arrives_whole(mosquitto):
    mosquitto.configure("max_queued_messages 0")
    mosquitto.restart()
    config = MqttConfig(host="127.0.0.1", port=mosquitto.port)
    numbers: list[int] = []
    async with (
        open_mqtt(config, TestContext("mqtt")) as sender,
        open_mqtt(config, TestContext("mqtt", instance="other")) as receiver,
        trio.open_nursery() as nursery,
    ):
        await until_connected(sender)
        await until_connected(receiver)
        async with receiver.subscribe("in/x", qos=1) as messages:

            async def send():
                for number in range(5000):
                    await sender.publish("in/x", b"%d" % number, qos=0)

            nursery.start_soon(send)
            with trio.fail_after(30):
                while len(numbers) < 5000:
                    numbers.append(int((await anext(messages)).payload))
    assert numbers == list(range(5000))


async def test_our_own_messages_can_be_left_out(mosquitto, connect):
    async with connect(mosquitto.port, protocol="5") as connection:
        await until_connected(connection)
        async with connection.subscribe("in/x", no_local=True) as messages:
            await connection.publish("in/x", b"ours", qos=1)
            with Recorder(mosquitto.port, "none") as other:
                other.publish("in/x", END)
            assert await payloads_until_end(messages) == []


async def test_our_own_messages_come_as_long_as_one_reader_wants_them(mosquitto, connect):
    async with connect(mosquitto.port, protocol="5") as connection:
        await until_connected(connection)
        async with (
            connection.subscribe("in/x", no_local=True),
            connection.subscribe("in/x") as messages,
        ):
            await connection.publish("in/x", END, qos=1)
            assert await payloads_until_end(messages) == []


async def test_a_shared_subscription_cannot_leave_out_our_own(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        with pytest.raises(Permanent, match="no_local"):
            async with connection.subscribe("$share/g/in/x", no_local=True):
                pass


async def test_each_connection_can_be_waited_for(mosquitto, connect):
    with Relay(mosquitto.port) as relay:
        async with connect(relay.port) as connection:
            with trio.fail_after(20):
                first = await connection.wait_connection()
                relay.cut()
                relay.join()
                assert await connection.wait_connection(first) == first + 1


async def test_who_waits_for_a_connection_hears_of_its_end(mosquitto, connect):
    ends = []

    async def wait(connection):
        with pytest.raises(Retryable, match="closed"):
            await connection.wait_connection(10)
        ends.append(1)

    async with trio.open_nursery() as nursery, connect(mosquitto.port) as connection:
        nursery.start_soon(wait, connection)
        await until_connected(connection)
    assert ends == [1]

"""Brokers that are away, come back, or never answer."""

import gc
import logging
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
import trio.testing

from alicia_scheduler.api import Permanent, Retryable
from alicia_scheduler.testing.mosquitto import Recorder, free_port, until_connected

CONNACK = b"\x20\x02\x00\x00"
CONNACK_5 = b"\x20\x03\x00\x00\x00"
SESSION_TAKEN_OVER = b"\xe0\x02\x8e\x00"
SUBSCRIBE, UNSUBSCRIBE, PINGREQ, PINGRESP = 0x80, 0xA0, 0xC0, b"\xd0\x00"


@asynccontextmanager
async def broker_that(behaves):
    """The port of a broker played by the test."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, behaves, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "alicia_scheduler.plugin.mqtt")
    return lambda: [
        record.getMessage()
        for record in caplog.records
        if record.name == "alicia_scheduler.plugin.mqtt"
    ]


@pytest.fixture
def black_hole():
    """The port of a listener that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.fixture
def full_listener():
    """The port of a listener whose queue is full: connecting hangs in the kernel."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        yield server.getsockname()[1]
        for client in waiting:
            client.close()


async def test_without_a_broker_the_service_starts_at_once_and_finds_it_later(mosquitto, connect):
    mosquitto.stop()
    async with connect(mosquitto.port) as connection:
        assert not connection.connected
        mosquitto.start()
        await until_connected(connection)
        await connection.publish("a", b"", qos=1)


async def test_after_a_crash_of_the_broker_it_publishes_again(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        mosquitto.kill()
        await until_connected(connection, False)
        with pytest.raises(Retryable, match="no connection"):
            await connection.publish("a", b"", qos=1)
        mosquitto.start()
        await until_connected(connection)
        with Recorder(mosquitto.port, "a") as recorder:
            await connection.publish("a", b"again", qos=1)
            await recorder.wait_for("a")


async def test_a_publish_under_way_when_the_broker_dies_may_be_tried_again(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        mosquitto.freeze()
        lost: list[int] = []

        async def publish(number):
            with pytest.raises(Retryable, match="lost"):
                await connection.publish("a", b"", qos=1)
            lost.append(number)

        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(publish, number)
                await trio.testing.wait_all_tasks_blocked(0.1)
                mosquitto.kill()
        assert sorted(lost) == list(range(50))


async def test_subscriptions_outlive_the_broker(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        async with connection.subscribe("in/+") as messages:
            mosquitto.restart()
            await until_connected(connection, False)
            await until_connected(connection)
            with Recorder(mosquitto.port, "none") as other, trio.fail_after(60):
                # The subscription may follow the connection by a moment: repeat until it is there.
                async with trio.open_nursery() as nursery:

                    async def send():
                        while True:
                            other.publish("in/x", b"hello")
                            await trio.sleep(0.05)

                    nursery.start_soon(send)
                    message = await anext(messages)
                    nursery.cancel_scope.cancel()
        assert (message.topic, message.payload) == ("in/x", b"hello")


async def test_loss_and_return_are_told_once_each(mosquitto, connect, lines):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        mosquitto.kill()
        await until_connected(connection, False)
        await trio.sleep(1)  # several attempts fail meanwhile
        mosquitto.start()
        await until_connected(connection)
    address = f"127.0.0.1:{mosquitto.port}"
    first, loss, back = lines()
    assert first == f"connected to the broker at {address} (MQTT 5)"
    assert loss.startswith(f"lost the connection to the broker at {address}: ")
    assert back.startswith(f"connected to the broker at {address} (MQTT 5) after ")


async def test_a_broker_missing_from_the_start_is_told_once(connect, lines):
    port = free_port()
    async with connect(port):
        with trio.fail_after(60):
            while not lines():
                await trio.sleep(0.01)
        await trio.sleep(1)  # more attempts fail
    [line] = lines()
    assert line.startswith(f"no broker at 127.0.0.1:{port} yet: ")
    assert "refused" in line


async def test_a_refusal_is_told_as_an_error_with_its_cure(mosquitto, connect, lines):
    mosquitto.configure("allow_anonymous false")
    mosquitto.restart()
    async with connect(mosquitto.port):
        with trio.fail_after(60):
            while not lines():
                await trio.sleep(0.01)
    [line] = lines()
    assert line.startswith(f"the broker at 127.0.0.1:{mosquitto.port} refuses: Not authorized")
    assert "username" in line


async def test_losing_the_client_id_to_another_is_told_as_an_error(connect, lines):
    async def give_the_id_away(stream):
        await stream.receive_some()
        await stream.send_all(CONNACK_5)
        await stream.receive_some()
        await stream.send_all(SESSION_TAKEN_OVER)

    async with broker_that(give_the_id_away) as port, connect(port, protocol="5"):
        with trio.fail_after(60):
            while len(lines()) < 2:
                await trio.sleep(0.01)
    assert "refuses: Session taken over" in lines()[1]


@pytest.mark.parametrize("hole", ["black_hole", "full_listener"])
async def test_a_black_hole_does_not_delay_the_end(connect, request, hole):
    port = request.getfixturevalue(hole)
    with trio.fail_after(60):
        async with connect(port, connect_timeout=120):
            await trio.sleep(0.2)


async def test_a_black_hole_does_not_delay_the_end_of_the_process(full_listener):
    script = (
        "import trio\n"
        "from alicia_mqtt import MqttConfig, open_mqtt\n"
        "from alicia_scheduler.testing.context import TestContext\n"
        "async def main():\n"
        f"    config = MqttConfig(host='127.0.0.1', port={full_listener}, connect_timeout=120)\n"
        "    async with open_mqtt(config, TestContext('mqtt')):\n"
        "        await trio.sleep(0.2)\n"
        "trio.run(main)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    assert process.wait(timeout=30) == 0


async def test_an_attempt_is_given_up_in_time_and_the_next_one_succeeds(mosquitto, connect, lines):
    mosquitto.freeze()
    async with connect(mosquitto.port, connect_timeout=0.3, protocol="5") as connection:
        with trio.fail_after(60):
            while not lines():
                await trio.sleep(0.01)
        mosquitto.thaw()
        await until_connected(connection)
    assert lines()[0].startswith("no broker at")


async def test_a_broker_that_acknowledges_nothing_is_left(connect):
    async def eat_acknowledgements(stream):
        await stream.receive_some()
        await stream.send_all(CONNACK)
        async for data in stream:
            if data[0] == PINGREQ:
                await stream.send_all(PINGRESP)

    async with (
        broker_that(eat_acknowledgements) as port,
        connect(port, protocol="3.1.1", keepalive=1) as connection,
    ):
        await until_connected(connection)
        with trio.fail_after(60), pytest.raises(Retryable, match="acknowledged nothing"):
            await connection.publish("a", b"", qos=1)


async def test_a_frozen_broker_is_noticed_by_its_silence(mosquitto, connect, lines):
    async with connect(mosquitto.port, keepalive=2) as connection:
        await until_connected(connection)
        mosquitto.freeze()
        await until_connected(connection, False)
        mosquitto.thaw()
        await until_connected(connection)
    assert len(lines()) == 3


async def test_the_end_is_bounded_when_the_broker_is_frozen(mosquitto, connect):
    with trio.fail_after(30):
        async with connect(mosquitto.port, keepalive=600) as connection:
            await until_connected(connection)
            mosquitto.freeze()
    mosquitto.thaw()


async def test_a_denied_subscription_is_an_error_for_who_asks(connect):
    async def deny(stream):
        await stream.receive_some()
        await stream.send_all(CONNACK)
        async for data in stream:
            # The availability may have come along before, in one piece with the subscription.
            if (at := data.find(bytes([SUBSCRIBE | 2]))) >= 0:
                await stream.send_all(b"\x90\x03" + data[at + 2 : at + 4] + b"\x80")

    async with broker_that(deny) as port, connect(port, protocol="3.1.1") as connection:
        await until_connected(connection)
        with pytest.raises(Permanent, match="denied 'a/b'"):
            async with connection.subscribe("a/b"):
                pass


async def test_a_filter_is_given_back_when_its_last_reader_has_gone(connect):
    given_back = trio.Event()

    async def grant(stream):
        await stream.receive_some()
        await stream.send_all(CONNACK)
        async for data in stream:
            if (at := data.find(bytes([SUBSCRIBE | 2]))) >= 0:
                await stream.send_all(b"\x90\x03" + data[at + 2 : at + 4] + b"\x01")
            if bytes([UNSUBSCRIBE | 2]) in data and b"a/b" in data:
                given_back.set()

    async with broker_that(grant) as port, connect(port, protocol="3.1.1") as connection:
        await until_connected(connection)
        async with connection.subscribe("a/b"):
            pass
        with trio.fail_after(60):
            await given_back.wait()


async def test_an_attempt_that_is_given_up_leaves_no_connection_behind(connect):
    opened, closed = [], []

    async def keep_silent(stream):
        opened.append(stream)
        async for _ in stream:
            pass
        closed.append(stream)

    gc.disable()  # which would close in the end what was forgotten
    try:
        async with (
            broker_that(keep_silent) as port,
            connect(port, protocol="5", connect_timeout=0.05),
        ):
            with trio.fail_after(60):
                while len(opened) < 4 or len(closed) < 3:
                    await trio.sleep(0.01)
    finally:
        gc.enable()


async def test_what_is_no_filter_is_refused_without_asking_the_broker(connect):
    async with connect(free_port()) as connection:
        with pytest.raises(Permanent, match="topic filter 'a#'"):
            async with connection.subscribe("a#"):
                pass

"""What the broker keeps for us while the connection is lost, and how long it waits for us."""

import subprocess
import sys
import time
from functools import partial

import pytest
import trio

from alicia_mqtt import MqttConfig
from alicia_scheduler.api import ConfigError, Retryable
from alicia_scheduler.testing.mosquitto import Recorder, until_connected
from alicia_scheduler.testing.relay import Relay

AVAILABILITY = "test/availability"


async def lose(relay, connection):
    """Cut the network, as a router does that restarts."""
    relay.cut()
    await until_connected(connection, False)


async def test_what_came_for_us_during_a_blip_is_delivered_after_it(mosquitto, connect):
    with Relay(mosquitto.port) as relay, Recorder(mosquitto.port, "none") as other:
        async with connect(relay.port) as connection:
            await until_connected(connection)
            async with connection.subscribe("in/x", qos=1) as messages:
                await lose(relay, connection)
                other.publish("in/x", b"meanwhile", qos=1)
                relay.join()
                with trio.fail_after(60):
                    assert (await anext(messages)).payload == b"meanwhile"


async def test_a_reader_that_left_during_the_blip_is_unsubscribed_after_it(mosquitto, connect):
    with Relay(mosquitto.port) as relay, Recorder(mosquitto.port, "none") as other:
        async with connect(relay.port) as connection:
            await until_connected(connection)
            async with connection.subscribe("in/x"):
                await lose(relay, connection)
            relay.join()
            await until_connected(connection)
            # A wider filter: with the old one still there the broker would send two copies.
            async with connection.subscribe("in/#") as messages:
                other.publish("in/x", b"once")
                other.publish("in/end", b"end")
                with trio.fail_after(60):
                    assert [(await anext(messages)).payload for _ in range(2)] == [b"once", b"end"]


async def test_a_new_host_does_not_take_over_what_came_for_the_old_one(mosquitto, connect):
    with Relay(mosquitto.port) as relay, Recorder(mosquitto.port, "none") as other:
        async with connect(relay.port) as connection:
            await until_connected(connection)
            async with connection.subscribe("in/x"):
                await lose(relay, connection)
                other.publish("in/x", b"for the old one")
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            async with connection.subscribe("in/#") as messages:
                other.publish("in/y", b"new")
                with trio.fail_after(60):
                    assert (await anext(messages)).payload == b"new"


async def test_a_blip_is_hidden_from_those_who_watch_the_availability(mosquitto, connect):
    with Relay(mosquitto.port) as relay, Recorder(mosquitto.port, AVAILABILITY) as recorder:
        async with connect(relay.port) as connection:
            await recorder.wait_for(AVAILABILITY)
            for count in (2, 3):
                await lose(relay, connection)
                relay.join()
                await recorder.wait_for(AVAILABILITY, count)
    assert [message.payload for message in recorder.messages][:3] == [b"online"] * 3


HOST_PROCESS = """
import sys, trio
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.testing.context import TestContext

async def main():
    config = MqttConfig(host="127.0.0.1", port=int(sys.argv[1]), prefix="test", will_delay=2)
    async with open_mqtt(config, TestContext("mqtt")):
        await trio.sleep_forever()

trio.run(main)
"""


async def test_a_host_that_does_not_come_back_is_offline_after_the_delay(mosquitto):
    with Recorder(mosquitto.port, AVAILABILITY) as recorder:
        host = subprocess.Popen([sys.executable, "-c", HOST_PROCESS, str(mosquitto.port)])
        try:
            await recorder.wait_for(AVAILABILITY)
        finally:
            killed = time.monotonic()
            host.kill()
            host.wait()
        await recorder.wait_for(AVAILABILITY, 2)
        assert time.monotonic() - killed >= 1.0  # brokers count whole seconds
    assert [message.payload for message in recorder.messages] == [b"online", b"offline"]


CONNACK = b"\x20\x03\x00\x00\x00"
CLEAN_START = 0x02


@pytest.mark.parametrize(("qos", "fresh"), [(1, False), (2, True)])
async def test_after_an_unfinished_message_at_qos_2_the_session_begins_anew(connect, qos, fresh):
    # A broker remembers its number, and may take the next message with it for a repetition.
    flags = []

    async def hang_up_on_a_publish(stream):
        data = await stream.receive_some()
        flags.append(data[data.index(b"MQTT") + 5])
        await stream.send_all(CONNACK)
        async for data in stream:
            if b"unfinished" in data:
                return

    async with trio.open_nursery() as nursery:
        serve = partial(trio.serve_tcp, hang_up_on_a_publish, 0, host="127.0.0.1")
        listeners = await nursery.start(serve)
        port = listeners[0].socket.getsockname()[1]
        async with connect(port, protocol="5") as connection:
            await until_connected(connection)
            with pytest.raises(Retryable):
                await connection.publish("t", b"unfinished", qos=qos)
            with trio.fail_after(60):
                while len(flags) < 2:
                    await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    assert bool(flags[0] & CLEAN_START)
    assert bool(flags[1] & CLEAN_START) is fresh


async def test_an_idle_connection_is_kept_alive_by_pings(mosquitto, connect):
    async with connect(mosquitto.port, keepalive=3) as connection:
        before = await connection.wait_connection()
        await trio.sleep(5)
        assert connection.connected
        assert await connection.wait_connection() == before


class Passes(trio.abc.Instrument):
    """Counts how often the loop woke."""

    count = 0

    def after_io_wait(self, timeout):
        self.count += timeout > 0


async def test_between_two_pings_an_idle_connection_does_not_wake_the_process(mosquitto, connect):
    async with connect(mosquitto.port, keepalive=60) as connection:
        await until_connected(connection)
        await connection.publish("a", b"", qos=1)
        await trio.sleep(1)
        passes = Passes()
        trio.lowlevel.add_instrument(passes)
        await trio.sleep(4)
        trio.lowlevel.remove_instrument(passes)
    assert passes.count <= 2  # the end of the sleep is one


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"session_expiry": 5}, "will_delay"),
        ({"will_delay": 301}, "will_delay"),
        ({"session_expiry": -1}, "session_expiry"),
        ({"outbox_limit": 0}, "outbox_limit"),
        ({"outbox_bytes": 10}, "outbox_bytes"),
    ],
)
def test_a_value_that_can_never_work_is_refused_by_its_key(fields, path):
    with pytest.raises(ConfigError) as refusal:
        MqttConfig(**fields)
    assert refusal.value.path == (path,)

"""``online`` and ``offline`` below the prefix, as others on the bus see them."""

import signal
import subprocess
import sys

import trio

from alicia_scheduler.testing.mosquitto import Recorder, until_connected

TOPIC = "test/availability"

HOST_PROCESS = """
import sys, trio
from alicia_mqtt import MqttConfig, open_mqtt
from alicia_scheduler.testing.context import TestContext

async def main():
    config = MqttConfig(host="127.0.0.1", port=int(sys.argv[1]), prefix="test", will_delay=0)
    async with open_mqtt(config, TestContext("mqtt")):
        await trio.sleep_forever()

trio.run(main)
"""


def states(recorder):
    return [(message.payload, message.qos) for message in recorder.of(TOPIC)]


async def test_it_is_online_while_the_service_runs_and_offline_after(mosquitto, connect):
    with Recorder(mosquitto.port, TOPIC) as recorder:
        async with connect(mosquitto.port):
            await recorder.wait_for(TOPIC)
        await recorder.wait_for(TOPIC, 2)
    assert states(recorder) == [(b"online", 1), (b"offline", 1)]


async def test_late_comers_learn_it_too(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        with Recorder(mosquitto.port, TOPIC) as first:
            await first.wait_for(TOPIC)
        with Recorder(mosquitto.port, TOPIC) as late:
            [message] = await late.wait_for(TOPIC)
            assert (message.payload, message.retain) == (b"online", True)
        await until_connected(connection)
    with Recorder(mosquitto.port, TOPIC) as later:
        [message] = await later.wait_for(TOPIC)
    assert (message.payload, message.retain) == (b"offline", True)


async def test_it_is_offline_when_the_service_is_cancelled(mosquitto, connect):
    # Several times: whether the body or the connection is cancelled first is up to chance.
    with Recorder(mosquitto.port, TOPIC) as recorder:
        for round_ in range(1, 6):
            with trio.CancelScope() as scope:
                async with connect(mosquitto.port):
                    await recorder.wait_for(TOPIC, 2 * round_ - 1)
                    scope.cancel()
                    await trio.sleep_forever()
            await recorder.wait_for(TOPIC, 2 * round_)
    assert states(recorder) == [(b"online", 1), (b"offline", 1)] * 5


async def test_the_broker_says_offline_for_a_process_that_was_killed(mosquitto):
    with Recorder(mosquitto.port, TOPIC) as recorder:
        host = subprocess.Popen([sys.executable, "-c", HOST_PROCESS, str(mosquitto.port)])
        try:
            await recorder.wait_for(TOPIC)
        finally:
            host.send_signal(signal.SIGKILL)
            host.wait()
        await recorder.wait_for(TOPIC, 2)
    with Recorder(mosquitto.port, TOPIC) as late:
        [message] = await late.wait_for(TOPIC)
    assert (message.payload, message.qos, message.retain) == (b"offline", 1, True)


async def test_a_broker_that_forgot_everything_learns_it_again(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        mosquitto.restart()
        await until_connected(connection, False)
        await until_connected(connection)
        with Recorder(mosquitto.port, TOPIC) as recorder:
            [message] = await recorder.wait_for(TOPIC)
    assert message.payload == b"online"

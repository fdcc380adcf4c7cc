"""Versions of MQTT on the wire, with brokers played by the test."""

import logging
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio

from alicia_scheduler.testing.mosquitto import Recorder, until_connected
from alicia_scheduler.testing.relay import Relay

REFUSED_VERSION = b"\x20\x02\x00\x01"
"""How a broker of MQTT 3.1.1 answers a version that it does not speak (3.1.1, section 3.2.2.3)."""

ACCEPTED = b"\x20\x02\x00\x00"
LEVELS = {4: "3.1.1", 5: "5"}


@asynccontextmanager
async def old_broker(tried, refuse):
    """The port of a broker that speaks 3.1.1 only, and notes what is tried."""

    async def behave(stream):
        connect = await stream.receive_some()
        tried.append(LEVELS[connect[8]])
        if connect[8] == 5:
            await refuse(stream)
            return
        await stream.send_all(ACCEPTED)
        if len(tried) < 4:
            await stream.receive_some()
            return  # it hangs up, so that the client comes again
        async for _ in stream:
            pass

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, behave, 0, host="127.0.0.1"))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def until_tried(tried, count):
    with trio.fail_after(60):
        while len(tried) < count:
            await trio.sleep(0.01)


async def test_a_broker_that_refuses_5_gets_3_1_1_from_then_on(connect):
    async def refuse(stream):
        await stream.send_all(REFUSED_VERSION)

    tried = []
    async with old_broker(tried, refuse) as port, connect(port) as connection:
        await until_tried(tried, 4)
        await until_connected(connection)
    assert tried == ["5", "3.1.1", "3.1.1", "3.1.1"]


async def test_a_broker_that_hangs_up_gets_3_1_1_but_5_first_the_next_time(connect):
    async def refuse(stream):
        await stream.aclose()

    tried = []
    async with old_broker(tried, refuse) as port, connect(port):
        await until_tried(tried, 4)
    assert tried == ["5", "3.1.1", "5", "3.1.1"]


async def test_a_broker_that_keeps_silent_gets_3_1_1(connect):
    async def refuse(stream):
        await stream.receive_some()

    tried = []
    async with old_broker(tried, refuse) as port, connect(port, connect_timeout=0.3) as connection:
        await until_tried(tried, 2)
        await until_connected(connection)
    assert tried[:2] == ["5", "3.1.1"]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_a_configured_version_is_the_only_one_tried(connect, protocol):
    async def refuse(stream):
        await stream.aclose()

    tried = []
    async with old_broker(tried, refuse) as port, connect(port, protocol=protocol):
        await until_tried(tried, 2)
    assert set(tried) == {protocol}


async def test_a_real_broker_without_5_is_used_and_that_is_told_once(mosquitto, connect, caplog):
    caplog.set_level(logging.INFO, "alicia_scheduler.plugin.mqtt")
    with (
        Relay(mosquitto.port, only_3_1_1=True) as relay,
        Recorder(mosquitto.port, "a") as recorder,
    ):
        async with connect(relay.port) as connection:
            for count in (1, 2):
                await until_connected(connection)
                await connection.publish("a", b"x", qos=1, content_type="text/plain")
                await recorder.wait_for("a", count)
                relay.cut()
                await until_connected(connection, False)
                relay.join()
    assert [message.content_type for message in recorder.messages] == [None, None]
    assert len([line for line in caplog.messages if "does not take MQTT 5" in line]) == 1

"""What a connection leaves behind: nothing."""

import threading
from pathlib import Path

import pytest
import trio

from alicia_scheduler.testing.mosquitto import until_connected


def descriptors():
    return sorted(entry.resolve() for entry in Path("/proc/self/fd").iterdir())


def threads():
    return [thread for thread in threading.enumerate() if thread.name == "alicia-mqtt"]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs Linux's /proc")
async def test_neither_threads_nor_descriptors_grow_with_its_connections(mosquitto, connect):
    async def live_once():
        async with connect(mosquitto.port) as connection:
            await until_connected(connection)
            await connection.publish("a", b"", qos=1)
            mosquitto.restart()
            await until_connected(connection, False)
            await until_connected(connection)
        with trio.fail_after(5):
            while threads():
                await trio.sleep(0.01)

    await live_once()
    before = len(descriptors())
    for _ in range(3):
        await live_once()
    assert len(descriptors()) <= before

"""What a connection leaves behind: nothing."""

import gc
import socket
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
        with trio.fail_after(60):
            while threads():
                await trio.sleep(0.01)

    await live_once()
    gc.collect()
    before = len(descriptors())
    for _ in range(3):
        await live_once()
    # What a cancelled task held goes with the garbage, whenever that is collected.
    gc.collect()
    assert len(descriptors()) <= before


async def test_no_message_waits_for_nagle_s_algorithm(mosquitto, connect):
    async with connect(mosquitto.port) as connection:
        await until_connected(connection)
        [wire] = [
            sock
            for sock in gc.get_objects()
            if isinstance(sock, socket.socket)
            and sock.fileno() >= 0
            and sock.type == socket.SOCK_STREAM
            and sock.family == socket.AF_INET
            and sock.getpeername()[1] == mosquitto.port
        ]
        assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

"""An asyncio loop that a trio task turns."""

import asyncio
import socket
import threading
from contextlib import asynccontextmanager

import pytest
import trio

from alicia_mqtt.hosted_loop import HostedLoop


@asynccontextmanager
async def hosted(main):
    """The loop, turned while the block is open or until ``main`` has ended."""
    loop = HostedLoop()
    try:
        task = loop.create_task(main)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(loop.host, task)
            yield loop, task
            nursery.cancel_scope.cancel()
    finally:
        loop.end()


async def run(main):
    loop = HostedLoop()
    try:
        task = loop.create_task(main)
        with trio.fail_after(60):
            await loop.host(task)
        return task.result()
    finally:
        loop.end()


async def test_it_ends_with_its_main_task_and_gives_its_result():
    async def main():
        await asyncio.sleep(0)
        return "done"

    assert await run(main()) == "done"


async def test_timers_and_sockets_of_asyncio_work():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)

    async def main():
        loop = asyncio.get_running_loop()
        loop.call_later(0.01, theirs.send, b"late")
        return await loop.sock_recv(ours, 10)

    with ours, theirs:
        assert await run(main()) == b"late"


async def test_what_a_trio_task_calls_is_run_though_nothing_else_happens():
    async with hosted(asyncio.sleep(3600)) as (loop, _):
        await trio.testing.wait_all_tasks_blocked()
        called = trio.Event()
        loop.call_soon(called.set)
        with trio.fail_after(60):
            await called.wait()


async def test_what_another_thread_calls_is_run():
    async with hosted(asyncio.sleep(3600)) as (loop, _):
        called = trio.Event()
        threading.Thread(target=loop.call_soon_threadsafe, args=(called.set,)).start()
        with trio.fail_after(60):
            await called.wait()


async def test_a_busy_loop_lets_others_have_their_turn():
    async def busy():
        while True:
            await asyncio.sleep(0)

    async with hosted(busy()):
        with trio.fail_after(60):
            for _ in range(10):
                await trio.lowlevel.checkpoint()


async def test_an_idle_loop_does_not_wake():
    async with hosted(asyncio.sleep(3600)) as (loop, _):
        turns = 0
        run_forever = loop.run_forever

        def counted():
            nonlocal turns
            turns += 1
            run_forever()

        await trio.testing.wait_all_tasks_blocked()
        loop.run_forever = counted
        await trio.sleep(0.2)
        assert turns == 0


async def test_at_the_end_every_task_can_say_goodbye():
    said = []

    async def main():
        try:
            await asyncio.sleep(3600)
        finally:
            said.append("goodbye")

    async with hosted(main()) as (_, task):
        await trio.testing.wait_all_tasks_blocked()
    assert said == ["goodbye"]
    assert task.cancelled()


async def test_a_call_that_blocks_holds_up_neither_trio_nor_the_end():
    release = threading.Event()
    try:

        async def main():
            await asyncio.get_running_loop().run_in_executor(None, release.wait)

        async with hosted(main()) as (_, task):
            await trio.testing.wait_all_tasks_blocked()
        assert task.cancelled()
    finally:
        release.set()


async def test_what_a_call_in_the_executor_raises_comes_to_whoever_awaits_it():
    async def main():
        await asyncio.get_running_loop().run_in_executor(None, int, "x")

    with pytest.raises(ValueError, match="invalid literal"):
        await run(main())

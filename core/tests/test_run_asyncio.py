"""asyncio libraries of plugins: awaited from trio, cancelled with it, and gone with the host."""

import asyncio
import contextvars
import threading

import pytest
import trio

from alicia_scheduler.host import asyncio_threads
from alicia_scheduler.host.asyncio_loops import AsyncioThreads
from alicia_scheduler.testing import TestContext

NAME = contextvars.ContextVar("NAME")


@pytest.fixture
def context():
    return TestContext("lamp")


async def test_what_the_function_returns_comes_back(context):
    async def add(one, other):
        await asyncio.sleep(0)
        return one + other

    assert await context.run_asyncio(add, 1, 2) == 3


async def test_what_the_function_raises_is_raised_here(context):
    async def fail():
        await asyncio.sleep(0)
        raise OSError("no lamp")

    with pytest.raises(OSError, match="no lamp"):
        await context.run_asyncio(fail)


@pytest.mark.parametrize("end", [SystemExit, KeyboardInterrupt])
async def test_even_what_ends_a_program_comes_back_and_the_loop_goes_on(context, end):
    async def leave():
        raise end

    async def one():
        return 1

    with pytest.raises(end):
        await context.run_asyncio(leave)
    assert await context.run_asyncio(one) == 1


async def test_a_function_that_is_not_async_is_told_by_python(context):
    with pytest.raises(TypeError, match="await"):
        await context.run_asyncio(lambda: 1)


async def test_the_trio_loop_goes_on_meanwhile(context):
    async def wait(event):
        await event.wait()
        return "done"

    async def make():
        return asyncio.Event()

    event = await context.run_asyncio(make)

    async def later():
        loop = await context.run_asyncio(running_loop)
        loop.call_soon_threadsafe(event.set)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(later)
        assert await context.run_asyncio(wait, event) == "done"


async def running_loop():
    return asyncio.get_running_loop()


async def test_all_calls_of_a_plugin_share_one_loop_in_a_thread_of_its_own(context):
    async def where():
        return asyncio.get_running_loop(), threading.current_thread().name

    first, second = [await context.run_asyncio(where) for _ in range(2)]
    assert first == second
    assert first[1] == "alicia-asyncio lamp"


async def test_no_two_plugins_share_a_loop():
    threads = AsyncioThreads()
    async with threads.running():
        lamp = await threads.of("lamp").run(running_loop)
        assert lamp is await threads.of("lamp").run(running_loop)
        assert lamp is not await threads.of("tide").run(running_loop)


async def test_the_callers_context_is_seen_within(context):
    async def look():
        return NAME.get()

    NAME.set("morning lights")
    assert await context.run_asyncio(look) == "morning lights"


# -- cancelled -------------------------------------------------------------------------------


class Slow:
    """Waits for ever; notes what it hears of its end."""

    def __init__(self):
        self.heard = []
        self.begun = trio.Event()
        self.token = trio.lowlevel.current_trio_token()

    async def __call__(self):
        self.token.run_sync_soon(self.begun.set)
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            self.heard.append("cancelled")
            await asyncio.sleep(0.05)
            self.heard.append("cleaned up")
            raise


async def cancelled_when_begun(context, slow):
    with trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(context.run_asyncio, slow)
            await slow.begun.wait()
            scope.cancel()
    return scope


async def test_cancellation_reaches_the_asyncio_task_and_waits_for_its_end(context):
    slow = Slow()
    scope = await cancelled_when_begun(context, slow)
    assert scope.cancelled_caught
    assert slow.heard == ["cancelled", "cleaned up"]


async def test_a_deadline_ends_the_asyncio_task_too(context):
    slow = Slow()
    with trio.move_on_after(0.2) as scope:
        await context.run_asyncio(slow)
    assert scope.cancelled_caught
    assert slow.heard == ["cancelled", "cleaned up"]


async def test_one_that_is_cancelled_before_it_begins_does_not_begin(context):
    slow = Slow()
    with trio.CancelScope() as scope:
        scope.cancel()
        await context.run_asyncio(slow)
    assert scope.cancelled_caught
    assert slow.heard == []
    assert not slow.begun.is_set()


async def test_a_task_that_keeps_its_cancellation_to_itself_keeps_it_from_nobody_else(context):
    class Swallows(Slow):
        async def __call__(self):
            try:
                await super().__call__()
            except asyncio.CancelledError:
                return "as if nothing had happened"

    scope = await cancelled_when_begun(context, Swallows())
    assert scope.cancelled_caught


async def test_an_error_while_it_is_cancelled_is_told_and_takes_no_cancellation_away(
    context, caplog
):
    class Breaks(Slow):
        async def __call__(self):
            try:
                await super().__call__()
            finally:
                raise OSError("while closing")

    scope = await cancelled_when_begun(context, Breaks())
    assert scope.cancelled_caught
    assert "OSError: while closing" in caplog.text


async def test_a_task_that_goes_on_after_its_cancellation_is_told_and_holds_up_nobody(
    context, monkeypatch, caplog
):
    class Stubborn(Slow):
        async def __call__(self):
            self.token.run_sync_soon(self.begun.set)
            for _ in range(10):
                try:
                    await asyncio.sleep(0.2)
                except asyncio.CancelledError:
                    continue

    monkeypatch.setattr(asyncio_threads, "END_WITHIN", 0.05)
    scope = await cancelled_when_begun(context, Stubborn())
    assert scope.cancelled_caught
    assert "plugin lamp" in caplog.text
    assert "after it was cancelled" in caplog.text


async def test_a_task_that_is_cancelled_from_within_is_an_error_and_no_cancellation(context):
    async def cancels_itself():
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    with pytest.raises(RuntimeError, match="cancelled from within"):
        await context.run_asyncio(cancels_itself)


# -- the end ---------------------------------------------------------------------------------


def names():
    return {thread.name for thread in threading.enumerate()}


async def test_the_end_of_the_host_ends_the_loops_and_what_runs_in_them():
    heard = []

    async def background():
        try:
            await asyncio.sleep(3600)
        finally:
            heard.append("ended")

    async def start():
        kept.append(asyncio.create_task(background()))
        await asyncio.sleep(0)

    kept = []
    threads = AsyncioThreads()
    async with threads.running():
        await threads.of("harbour").run(start)
        assert "alicia-asyncio harbour" in names()
    assert heard == ["ended"]
    assert "alicia-asyncio harbour" not in names()


async def test_the_loop_of_a_test_context_ends_with_it():
    context = TestContext("short")
    loop = await context.run_asyncio(running_loop)
    del context
    with trio.fail_after(10):
        while not loop.is_closed():
            await trio.sleep(0.01)


async def test_nothing_is_started_before_somebody_asks():
    TestContext("idle")
    async with AsyncioThreads().running():
        assert not any("asyncio idle" in name for name in names())

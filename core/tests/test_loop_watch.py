"""Who holds the loop: seen while it lasts, measured when it is over, blamed on the plugin."""

from __future__ import annotations

import threading
import time
from types import ModuleType

import pytest
import trio

from alicia_scheduler.host import loopwatch
from alicia_scheduler.host.blame import plugin_of, working_for
from alicia_scheduler.host.loopwatch import LoopWatch
from alicia_scheduler.host.record import PluginRecord

LAMP = PluginRecord("lamp", "dist-lamp", "1", package="lamp_of_a_test")
TIDE = PluginRecord("tide", "dist-tide", "1", package="tide_of_a_test")


def module(name, source):
    made = ModuleType(name)
    made.__dict__["time"] = time
    exec(compile(source, f"{name}.py", "exec"), made.__dict__)
    return made


@pytest.fixture
def holds():
    return []


@pytest.fixture
def watch(holds):
    watch = LoopWatch(holds.append, limit=0.05)
    watch.know([LAMP, TIDE])
    return watch


def blamed(holds):
    return [hold for hold in holds if hold.plugin is not None]


async def test_a_task_that_works_for_a_plugin_and_blocks_is_blamed_on_it(watch, holds):
    with watch.watching():
        with working_for(LAMP):
            time.sleep(0.6)
            await trio.sleep(0)
        await trio.sleep(0.01)
    (hold,) = blamed(holds)
    assert hold.plugin is LAMP
    assert hold.seconds > 0.05


async def test_so_is_its_child_however_deep(watch, holds):
    async def child():
        time.sleep(0.6)

    async def parent():
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, name="the child")

    with watch.watching():
        with working_for(LAMP):
            await parent()
        await trio.sleep(0.01)
    (hold,) = blamed(holds)
    assert (hold.plugin, hold.task) == (LAMP, "the child")


async def test_code_of_a_plugin_is_found_in_the_stack_with_its_line(watch, holds):
    lamp = module("lamp_of_a_test.inner", "def block():\n    time.sleep(0.6)\n")
    with watch.watching():
        await trio.sleep(0.01)
        lamp.block()
        await trio.sleep(0.01)
    # The thread may have been given no time by the machine; then nobody is blamed.
    for hold in blamed(holds):
        assert hold.plugin is LAMP
        assert hold.place == "lamp_of_a_test.inner.py:2 in block"


async def test_the_innermost_plugin_in_the_stack_is_to_blame(watch):
    lamp = module("lamp_of_a_test", "def call(function):\n    return function()\n")
    tide = module("tide_of_a_test", "import sys\ndef look():\n    return sys._getframe()\n")
    frame = lamp.call(tide.look)
    plugin, place = loopwatch.plugin_in(frame, {"lamp_of_a_test": LAMP, "tide_of_a_test": TIDE})
    assert plugin is TIDE
    assert place.endswith("in look")


async def test_what_comes_after_a_plugins_code_in_one_step_is_not_its_doing(watch, holds):
    with watch.watching():
        await trio.sleep(0.01)
        with working_for(LAMP):
            watch.returned(LAMP)
        time.sleep(0.6)
        await trio.sleep(0.01)
    assert blamed(holds) == []


async def test_what_came_before_the_end_of_a_plugins_code_is(watch, holds):
    with watch.watching():
        await trio.sleep(0.01)
        time.sleep(0.6)
        watch.returned(LAMP)
        await trio.sleep(0.01)
    assert [hold.plugin for hold in blamed(holds)] == [LAMP]


async def test_waiting_is_no_holding(watch, holds):
    with watch.watching(), working_for(LAMP):
        await trio.sleep(0.3)
    assert blamed(holds) == []


async def test_time_that_the_machine_gave_to_others_does_not_count(watch, holds, monkeypatch):
    with watch.watching():
        await trio.sleep(0.01)
        began = time.perf_counter()
        monkeypatch.setattr(loopwatch, "_starved", lambda _thread: time.perf_counter() - began + 10)
        with working_for(LAMP):
            time.sleep(0.6)
            await trio.sleep(0)
    assert blamed(holds) == []


async def test_an_idle_loop_is_not_looked_at(watch):
    looks = []
    with watch.watching():
        deadline = time.monotonic() + 30
        while not watch._parked and time.monotonic() < deadline:
            await trio.sleep(0.2)
        assert watch._parked
        original = watch._wake.wait
        watch._wake.wait = lambda *given: looks.append(given) or original(*given)
        before = len(looks)
        await trio.sleep(0.5)
        # The one look that the loop's own waking for this sleep brings.
        assert len(looks) - before <= 3


async def test_its_thread_ends_with_the_block(watch):
    with watch.watching():
        assert "loop watch" in {thread.name for thread in threading.enumerate()}
    deadline = time.monotonic() + 30
    while "loop watch" in {thread.name for thread in threading.enumerate()}:
        assert time.monotonic() < deadline
        await trio.sleep(0.01)


async def test_tasks_are_counted_by_plugin(watch):
    with watch.watching(), working_for(LAMP):
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(trio.sleep_forever)
            await trio.testing.wait_all_tasks_blocked()
            assert watch.tasks_of(LAMP) == 3
            assert watch.tasks_of(TIDE) == 0
            nursery.cancel_scope.cancel()
        assert watch.tasks_of(LAMP) == 0


async def test_a_task_belongs_to_the_plugin_it_was_started_for(watch):
    async def tell(task_status):
        task_status.started(plugin_of(trio.lowlevel.current_task()))

    async with trio.open_nursery() as nursery:
        with working_for(LAMP):
            assert await nursery.start(tell) is LAMP
        assert await nursery.start(tell) is None

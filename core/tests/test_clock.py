"""The machine's clocks, and noticing that one was set."""

import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from alicia_scheduler.kernel import clock as clock_module
from alicia_scheduler.kernel.clock import StepWatch, SystemClock
from alicia_scheduler.kernel.walltimer import WallTimer
from alicia_scheduler.testing.clock import START


async def test_the_wait_ends_at_its_instant_and_not_before():
    clock = SystemClock()
    instant = clock.now() + timedelta(milliseconds=30)
    await clock.wait_until(instant, trio.Event())
    assert clock.now() >= instant


async def test_the_wait_ends_at_once_for_an_instant_that_is_past():
    clock = SystemClock()
    await clock.wait_until(datetime(1970, 1, 1, tzinfo=UTC), trio.Event())


async def test_a_change_ends_the_wait():
    clock = SystemClock()
    changed = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(clock.wait_until, None, changed)
        await trio.testing.wait_all_tasks_blocked()
        changed.set()


async def test_the_wait_can_be_cancelled():
    clock = SystemClock()
    with trio.move_on_after(0.01) as scope:
        await clock.wait_until(None, trio.Event())
    assert scope.cancelled_caught


async def test_without_timer_descriptors_the_wait_ends_in_time_too(monkeypatch):
    clock = SystemClock()
    clock._timer = None
    instant = clock.now() + timedelta(milliseconds=30)
    while clock.now() < instant:
        await clock.wait_until(instant, trio.Event())


async def test_a_clock_that_is_set_ends_the_wait_at_once():
    """Sets the machine's clock to what it shows: harmless, but Linux tells every timer."""
    timer = WallTimer()
    told = []

    async def wait():
        told.append(await timer.wait_until(None))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        try:
            time.clock_settime(time.CLOCK_REALTIME, time.time())
        except (PermissionError, OSError):
            nursery.cancel_scope.cancel()
            pytest.skip("setting the clock needs CAP_SYS_TIME")
    timer.close()
    assert told == [True]


async def test_a_clock_that_was_set_between_two_waits_ends_the_next_one_at_once():
    """As above: sets the machine's clock to what it shows."""
    timer = WallTimer()
    await timer.wait_until(datetime(1970, 1, 1, tzinfo=UTC))
    try:
        time.clock_settime(time.CLOCK_REALTIME, time.time())
    except (PermissionError, OSError):
        pytest.skip("setting the clock needs CAP_SYS_TIME")
    with trio.fail_after(30):
        assert await timer.wait_until(None)
    timer.close()


def test_a_timer_gives_its_descriptor_back():
    before = len(list(Path("/proc/self/fd").iterdir()))
    timer = WallTimer()
    timer.close()
    timer.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


class Scripted:
    """Clocks that show what a test says."""

    def __init__(self):
        self.wall = START
        self.passed = 0.0
        self.interruptions = []

    def now(self):
        if self.interruptions:
            self.pass_time(self.interruptions.pop())
        return self.wall

    def elapsed(self):
        return self.passed

    def pass_time(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.passed += seconds


def test_time_that_passes_is_no_step():
    clock = Scripted()
    watch = StepWatch(clock)
    clock.pass_time(86_400)
    assert watch.look() == 0


@pytest.mark.parametrize("step", [3600, -3600, 1.5, -1.5, 56 * 365 * 86_400])
def test_a_clock_that_was_set_is_noticed_with_its_step(step):
    clock = Scripted()
    watch = StepWatch(clock)
    clock.pass_time(10)
    clock.wall += timedelta(seconds=step)
    assert watch.look() == pytest.approx(step)
    assert watch.look() == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="slews both clocks alike")
def test_a_step_of_a_second_is_noticed_after_an_hour_of_waiting():
    clock = Scripted()
    watch = StepWatch(clock)
    clock.pass_time(3600)
    clock.wall += timedelta(seconds=1)
    assert watch.look() == pytest.approx(1)


def test_a_clock_that_ntp_slews_is_not_taken_for_set_where_elapsed_time_is_not_slewed(monkeypatch):
    monkeypatch.setattr(clock_module, "SLEW", 0.001)
    clock = Scripted()
    watch = StepWatch(clock)
    clock.pass_time(86_400)
    clock.wall += timedelta(seconds=86_400 * 0.0005)
    assert watch.look() == 0


def test_a_pause_between_two_readings_is_not_taken_for_a_step():
    clock = Scripted()
    watch = StepWatch(clock)
    clock.interruptions = [3.0, 2.0]
    assert watch.look() == 0

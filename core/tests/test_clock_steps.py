"""The wall clock is set while the kernel runs, or between two runs."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest
import trio

from alicia_scheduler.api import Misfire, Retryable, Status, to_epoch
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import At, make_event, running_kernel

HOUR, DAY, YEAR = 3600, 86_400, 365 * 86_400
JUMPS = [5, -5, HOUR, -HOUR, DAY, -DAY, 10 * YEAR, -10 * YEAR]


def at(seconds):
    return START + timedelta(seconds=seconds)


def calendar(*seconds, **fields):
    """Slots of the calendar, which do not move with the clock."""
    epochs = [to_epoch(at(second)) for second in seconds]
    return make_event(schedule_type="at", schedule_config={"epochs": epochs}, **fields)


@pytest.mark.parametrize("jump", JUMPS)
async def test_an_interval_goes_on_in_elapsed_time_whatever_the_clock_shows(jump, autojump_clock):
    started = []

    async def note_time(config, execution):
        started.append(trio.current_time())

    async with running_kernel(actions={"time": note_time}) as under_test:
        await save_event(under_test.kernel, make_event(action={"type": "time"}))
        await trio.sleep(25)
        under_test.clock.step(jump)
        await trio.sleep(40)
    gaps = [later - earlier for earlier, later in itertools.pairwise(started)]
    assert gaps == pytest.approx([10] * 5, abs=0.001)
    assert under_test.told("clock_stepped")[0]["step"] == pytest.approx(jump)


async def test_an_interval_runs_on_after_each_of_many_jumps(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        for jump in JUMPS:
            before = len(under_test.ran)
            under_test.clock.step(jump)
            await trio.sleep(12)
            assert 1 <= len(under_test.ran) - before <= 2


async def test_a_calendar_slot_that_was_jumped_over_runs_once_late(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, calendar(600, 2 * DAY))
        await trio.sleep(1)
        under_test.clock.step(HOUR)
        await trio.sleep(1)
        (execution,) = await under_test.history()
    assert (execution.scheduled_time, execution.status) == (at(600), Status.COMPLETED)


async def test_a_calendar_slot_is_not_repeated_when_the_clock_is_set_back_a_little(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, calendar(100, 200))
        await trio.sleep(150)
        under_test.clock.step(-100)
        await trio.sleep(300)
        history = await under_test.history()
    assert [run.scheduled_time for run in history] == [at(100), at(200)]


async def test_a_correction_of_years_finds_the_next_slot_anew(autojump_clock):
    wrong = START + timedelta(days=3650)
    near = [to_epoch(at(second)) for second in (100, 200)]
    far = [to_epoch(wrong + timedelta(days=day)) for day in range(1, 4)]
    event = make_event(schedule_type="at", schedule_config={"epochs": near + far})
    async with running_kernel(start=wrong) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(10)
        under_test.clock.set(START)
        await trio.sleep(250)
        history = await under_test.history()
    assert [run.scheduled_time for run in history] == [at(100), at(200)]


async def test_a_boot_in_1970_makes_no_storm_and_keeps_nobody_waiting(autojump_clock):
    """A board without a battery: it starts in 1970 and NTP corrects that half a minute later."""
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, make_event("interval"))
            await save_event(first.kernel, calendar(15, DAY, 2 * DAY, event_id="calendar"))
            await trio.sleep(25)
        epoch = datetime(1970, 1, 1, tzinfo=UTC)
        async with running_kernel(store=store, start=epoch) as second:
            await trio.sleep(35)
            ran_in_1970 = [run.event_id for run in second.ran]
            second.clock.set(at(DAY + 600))
            await trio.sleep(30)
            ran = [run.event_id for run in second.ran[len(ran_in_1970) :]]
    assert ran_in_1970 == ["interval"] * 3
    assert sorted(ran) == ["calendar", "interval", "interval", "interval"]


async def test_suspending_runs_what_is_late_once(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(schedule_config={"seconds": HOUR}))
        await trio.sleep(HOUR + 1)
        under_test.clock.suspend(8 * HOUR)
        await trio.sleep(2)
        statuses = [(run.scheduled_time, run.status) for run in await under_test.history()]
    assert statuses == [
        (at(HOUR), Status.COMPLETED),
        (at(2 * HOUR), Status.MISSED),
        (at(9 * HOUR), Status.COMPLETED),
    ]
    assert under_test.told("clock_stepped") == []


@pytest.mark.parametrize("jump", [HOUR, -HOUR, 10 * YEAR, -10 * YEAR])
async def test_a_waiting_retry_keeps_its_delay(jump, autojump_clock):
    tried = []

    async def fail(config, execution):
        tried.append(trio.current_time())
        raise Retryable("no")

    event = calendar(10, action={"type": "fail"}, max_retries=1, retry_delay=60)
    async with running_kernel(actions={"fail": fail}) as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(20)
        under_test.clock.step(jump)
        await trio.sleep(100)
    assert tried[1] - tried[0] == pytest.approx(60, abs=0.001)


async def test_a_slot_found_again_after_a_boot_in_1970_does_not_run_twice_nor_end_the_host(
    autojump_clock, monkeypatch
):
    async def slow_commit(store, changes, commit=SqliteStore.commit):
        await trio.sleep(0.1)
        await commit(store, changes)

    monkeypatch.setattr(SqliteStore, "commit", slow_commit)
    hourly = make_event(schedule_type="clock", schedule_config={"seconds": HOUR})
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, hourly)
            await trio.sleep(HOUR + 100)
        async with running_kernel(store=store, start=datetime(1970, 1, 1, tzinfo=UTC)) as second:
            await trio.sleep(35)
            second.clock.set(at(HOUR + 200))
            await trio.sleep(HOUR)
            history = await second.history()
    ran = [run.scheduled_time for run in history if run.status is Status.COMPLETED]
    assert ran == [at(HOUR), at(2 * HOUR)]


async def test_what_jitter_was_drawn_for_a_slot_stands_when_a_set_clock_moves_the_slot(
    autojump_clock,
):
    event = make_event(schedule_config={"seconds": HOUR}, jitter=3000.0, misfire=Misfire.SKIP)
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(10)
        for minutes in range(20, 32):
            under_test.clock.step(minutes * 60)
            await trio.sleep(HOUR)
        history = await under_test.history()
    assert {run.status for run in history} == {Status.COMPLETED}
    assert max(abs((run.start_time - run.due_time).total_seconds()) for run in history) < 1


EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def test_boots_in_1970_time_and_again_keep_an_interval_going(autojump_clock):
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, make_event())
            await trio.sleep(25)
        for _ in range(40):
            async with running_kernel(store=store, start=EPOCH) as again:
                await trio.sleep(35)
                assert len(again.ran) == 3
                assert all(run.status is Status.COMPLETED for run in await again.history())


async def test_an_interval_that_never_ran_runs_after_a_boot_in_1970(autojump_clock):
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, make_event())
            await trio.sleep(5)
        async with running_kernel(store=store, start=EPOCH) as second:
            await trio.sleep(25)
            assert len(second.ran) == 2


async def test_a_retry_keeps_its_delay_across_a_boot_in_1970(autojump_clock):
    async def fail(config, execution):
        raise Retryable("no")

    event = calendar(10, action={"type": "fail"}, max_retries=1, retry_delay=600)
    actions = {"fail": fail}
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions=actions) as first:
            await save_event(first.kernel, event)
            await trio.sleep(20)
        async with running_kernel(store=store, actions=actions, start=EPOCH) as second:
            await trio.sleep(30)
            second.clock.set(at(3600))
            await trio.sleep(600)
            (execution,) = await second.history()
    assert (execution.status, execution.retry_count) == (Status.FAILED, 1)


async def test_a_clock_that_is_right_again_plans_no_slot_that_has_run(autojump_clock):
    hourly = make_event(schedule_type="clock", schedule_config={"seconds": HOUR})
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, hourly)
            await trio.sleep(HOUR + 100)
        async with running_kernel(store=store, start=EPOCH) as second:
            await trio.sleep(35)
            second.clock.set(at(HOUR + 200))
            await trio.sleep(HOUR)
            statuses = [(run.scheduled_time, run.status) for run in await second.history()]
    assert statuses == [(at(HOUR), Status.COMPLETED), (at(2 * HOUR), Status.COMPLETED)]
    assert second.told("error") == []


async def test_an_interval_that_has_not_begun_waits_for_its_starts_at(autojump_clock):
    event = make_event(starts_at=at(DAY))
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(5)
        under_test.clock.step(-HOUR)
        await trio.sleep(DAY + HOUR + 8)
        (execution,) = await under_test.history()
    assert execution.scheduled_time == at(DAY + 10)


async def test_a_set_clock_moves_no_slot_of_an_interval_beyond_its_ends_at(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(ends_at=at(HOUR)))
        await trio.sleep(15)
        under_test.clock.step(DAY)
        await trio.sleep(60)
        assert [run.scheduled_time for run in await under_test.history()] == [at(10)]


async def test_a_schedule_that_raises_when_the_clock_is_set_leaves_the_others_alone(
    autojump_clock, monkeypatch
):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, calendar(DAY, event_id="broken"))
        await save_event(under_test.kernel, make_event())
        await trio.sleep(15)
        monkeypatch.setattr(At, "next_after", None)
        under_test.clock.step(-DAY)
        await trio.sleep(20)
        assert len(await under_test.history()) == 3


async def test_slots_that_min_interval_skipped_ahead_of_time_do_not_make_a_start_move_anything(
    autojump_clock,
):
    settings = KernelSettings(min_interval=25)
    clock = VirtualClock()
    async with SqliteStore.open(None) as store:
        for _ in range(3):
            async with running_kernel(store=store, clock=clock, settings=settings) as machine:
                await save_event(machine.kernel, make_event())
                await trio.sleep(11)
        slots = [run.scheduled_time for run in await store.list_executions(limit=100)][::-1]
    assert slots == [at(10), at(20)]

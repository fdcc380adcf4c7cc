"""Events that come too often are bounded and told."""

from datetime import timedelta

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from alicia_scheduler.api import EventState, Misfire, Mode, Status, from_epoch, to_epoch
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.kernel.notifications import Notifier
from alicia_scheduler.kernel.planner import Occupancy, plan_slot
from alicia_scheduler.kernel.rates import TRIGGERS_PER_HOUR, Rates
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import At, Every, make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def rate_alarms(under_test):
    return [data for data in under_test.told("error") if data["class"] == "rate"]


async def test_a_schedule_of_a_thousand_slots_a_second_runs_at_the_pace_of_min_interval(
    autojump_clock,
):
    settings = KernelSettings(min_interval=0.5)
    async with running_kernel(settings=settings) as under_test:
        await save_event(under_test.kernel, make_event(schedule_config={"seconds": 0.001}))
        await trio.sleep(5)
        history = await under_test.history()
    ran = [run for run in history if run.status is Status.COMPLETED]
    skipped = [run for run in history if run.reason == "min_interval"]
    assert 10 <= len(ran) <= 11
    assert len(ran) + len(skipped) == len(history)
    assert all(run.status is Status.SKIPPED for run in skipped)
    assert "min_interval = 0.5 s" in skipped[0].error_message


async def test_every_slot_of_a_schedule_that_is_too_fast_is_covered_by_one_record(autojump_clock):
    settings = KernelSettings(min_interval=0.5)
    async with running_kernel(settings=settings) as under_test:
        await save_event(under_test.kernel, make_event(schedule_config={"seconds": 0.125}))
        await trio.sleep(5)
        history = await under_test.history()
        state = (await under_test.store.records(["event"]))["event"].state
    slots = []
    for run in history:
        slot, before = run.scheduled_time, run.scheduled_time + timedelta(seconds=0.001)
        if run.result is not None:
            before = from_epoch(run.result["before"])
        while slot < before:
            slots.append(slot)
            slot += timedelta(seconds=0.125)
    count = (state.next_run - START) / timedelta(seconds=0.125)
    assert slots == [at(0.125 * k) for k in range(1, round(count))]


async def test_a_schedule_that_is_too_fast_is_told_once_for_each_revision(autojump_clock):
    settings = KernelSettings(min_interval=0.5)
    async with running_kernel(settings=settings) as under_test:
        event = make_event(schedule_config={"seconds": 0.1})
        await save_event(under_test.kernel, event)
        await trio.sleep(5)
        (alarm,) = rate_alarms(under_test)
        await save_event(under_test.kernel, replace(event, schedule_config={"seconds": 0.2}))
        await trio.sleep(5)
        assert len(rate_alarms(under_test)) == 2
    assert alarm["event_id"] == "event"
    assert "faster than min_interval = 0.5 s" in alarm["message"]


async def test_a_schedule_at_the_pace_of_min_interval_is_left_alone(autojump_clock):
    settings = KernelSettings(min_interval=0.5)
    async with running_kernel(settings=settings) as under_test:
        await save_event(under_test.kernel, make_event(schedule_config={"seconds": 0.5}))
        await trio.sleep(5.2)
        assert rate_alarms(under_test) == []
        assert len(under_test.ran) == 10


async def test_two_slots_close_together_at_the_end_of_a_schedule(autojump_clock):
    event = make_event(
        schedule_type="at", schedule_config={"epochs": [to_epoch(at(10)), to_epoch(at(10.01))]}
    )
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, event)
        await trio.sleep(20)
        first, second = await under_test.history()
        record = (await under_test.store.records(["event"]))["event"]
    assert (first.status, second.status) == (Status.COMPLETED, Status.SKIPPED)
    assert second.reason == "min_interval"
    assert record.state.next_run is None


class Counted(Every):
    """Counts how often it is asked."""

    asked = 0

    def next_after(self, instant):
        Counted.asked += 1
        return super().next_after(instant)


@pytest.mark.parametrize("misfire", Misfire)
def test_closing_a_million_slots_asks_the_schedule_a_few_times(misfire):
    Counted.asked = 0
    event = make_event(schedule_config={"seconds": 0.000001}, misfire=misfire)
    occupancy = Occupancy()
    schedule = Counted(START, 0.000001)
    plan = plan_slot(event, EventState(), schedule, at(10), at(10.2), occupancy, 1.0)
    assert Counted.asked < 20
    assert plan.next_run == at(11)
    assert plan.crowded


@settings(deadline=None)
@given(
    period=st.integers(1, 60).map(lambda hundredths: hundredths / 100),
    late=st.integers(0, 2000).map(lambda hundredths: hundredths / 100),
    min_interval=st.sampled_from([0.1, 0.25, 1.0]),
    misfire=st.sampled_from(Misfire),
)
def test_every_slot_before_the_next_is_decided_about_exactly_once(
    period, late, min_interval, misfire
):
    event = make_event(misfire=misfire, mode=Mode.PARALLEL, max_executions=1000)
    schedule = Every(START, period)
    plan = plan_slot(
        event, EventState(), schedule, at(period), at(period + late), Occupancy(), min_interval
    )
    covered = [run.scheduled_time for run in plan.admitted]
    for record in plan.closed:
        slot = record.scheduled_time
        before = slot + timedelta(microseconds=1)
        if record.result is not None:
            before = from_epoch(record.result["before"])
        while slot < before:
            covered.append(slot)
            slot = schedule.next_after(slot)
    expected, slot = [], schedule.next_after(START)
    while slot < plan.next_run:
        expected.append(slot)
        slot = schedule.next_after(slot)
    assert sorted(covered) == expected
    assert plan.next_run > at(period + late)
    newest = max((run.scheduled_time for run in plan.admitted), default=at(0))
    assert (plan.next_run - newest).total_seconds() >= min_interval


def test_the_last_slots_of_a_schedule_that_is_too_fast_are_closed_before_its_end():
    schedule = At((at(10), at(10.01), at(10.02)))
    plan = plan_slot(make_event(), EventState(), schedule, at(10), at(10), Occupancy(), 0.1)
    (record,) = plan.closed
    assert plan.next_run is None
    assert record.result["first"] == to_epoch(at(10.01))
    assert record.result["before"] > to_epoch(at(10.02))


# -- triggers ----------------------------------------------------------------------------------


async def trigger(under_test, times):
    for _ in range(times):
        await under_test.kernel.trigger("event")


def at_far():
    return make_event(schedule_type="at", schedule_config={"epochs": [to_epoch(at(1e8))]})


async def test_an_event_triggered_more_than_a_thousand_times_an_hour_raises_one_alarm(
    autojump_clock,
):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, at_far())
        await trigger(under_test, TRIGGERS_PER_HOUR)
        assert rate_alarms(under_test) == []
        await trigger(under_test, 200)
        (alarm,) = rate_alarms(under_test)
    assert alarm["event_id"] == "event"
    assert "more than 1000 times within an hour" in alarm["message"]


async def test_the_alarm_comes_again_after_an_hour_if_it_goes_on(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, at_far())
        for _ in range(150):  # 1200 an hour, for two and a half hours
            await trigger(under_test, 20)
            await trio.sleep(60)
        assert len(rate_alarms(under_test)) == 2


async def test_a_thousand_triggers_spread_over_two_hours_are_no_alarm(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, at_far())
        for _ in range(120):
            await trigger(under_test, 12)
            await trio.sleep(60)
        assert rate_alarms(under_test) == []


async def test_events_that_come_and_go_do_not_pile_up_in_the_book():
    clock = VirtualClock()
    told = []
    notifier = Notifier(clock)
    notifier.listen(told.append)
    rates = Rates(clock, notifier, 0.1)
    for number in range(5000):
        rates.crowded(make_event(f"event {number}"))
        rates.crowded(make_event(f"event {number}"))
    assert len(told) == 5000
    assert len(rates._crowded) <= 1000

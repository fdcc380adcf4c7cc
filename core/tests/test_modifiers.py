"""Pauses, skipped slots, exclusions, catching up and a clock that is not right yet."""

from dataclasses import replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
import trio

from alicia_scheduler.api import DstGap, Misfire, Status, to_epoch
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.kernel.exclusions import Excluding, Exclusions
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.kernel.steering import pause, resume, skip_next, unskip
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import At, make_event, running_kernel

DAY = 86_400


def at(seconds):
    return START + timedelta(seconds=seconds)


def calendar(*seconds, **fields):
    epochs = [to_epoch(at(second)) for second in seconds]
    return make_event(schedule_type="at", schedule_config={"epochs": epochs}, **fields)


def ran(under_test):
    return [run.scheduled_time for run in under_test.ran]


# -- pause and skip --------------------------------------------------------------------------


async def test_slots_up_to_the_end_of_a_pause_are_recorded_and_do_not_run(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await pause(under_test.kernel, "event", until=at(20))
        await trio.sleep(35)
        history = await under_test.history()
    assert [(run.status, run.reason) for run in history] == [
        (Status.SKIPPED, "paused"),
        (Status.SKIPPED, "paused"),
        (Status.COMPLETED, None),
    ]


async def test_a_pause_without_an_end_lasts_until_it_is_resumed(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await pause(under_test.kernel, "event")
        await trio.sleep(25)
        await resume(under_test.kernel, "event")
        await trio.sleep(10)
    assert ran(under_test) == [at(30)]


async def test_a_paused_event_can_be_triggered_by_hand(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await pause(under_test.kernel, "event")
        await under_test.kernel.trigger("event")
        await trio.sleep(1)
    assert len(under_test.ran) == 1


async def test_skip_marks_the_next_slot_and_then_the_one_after_it(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        assert await skip_next(under_test.kernel, "event") == at(10)
        assert await skip_next(under_test.kernel, "event") == at(20)
        await trio.sleep(35)
        history = await under_test.history()
        state = (await under_test.store.records(["event"]))["event"].state
    assert [(run.status, run.reason) for run in history] == [
        (Status.SKIPPED, "skip"),
        (Status.SKIPPED, "skip"),
        (Status.COMPLETED, None),
    ]
    assert state.skip_slots == ()


async def test_a_skip_can_be_taken_back(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event())
        await skip_next(under_test.kernel, "event")
        assert await unskip(under_test.kernel, "event") == at(10)
        assert await unskip(under_test.kernel, "event") is None
        await trio.sleep(11)
    assert ran(under_test) == [at(10)]


async def test_a_skip_and_a_pause_survive_a_restart(autojump_clock):
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, make_event("skipped"))
            await save_event(first.kernel, make_event("paused"))
            await skip_next(first.kernel, "skipped")
            await pause(first.kernel, "paused", until=at(10))
        async with running_kernel(store=store, start=at(1)) as second:
            await trio.sleep(20)
            assert sorted((run.event_id, run.scheduled_time) for run in second.ran) == [
                ("paused", at(20)),
                ("skipped", at(20)),
            ]


async def test_a_jitter_that_was_drawn_is_recorded(autojump_clock):
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(jitter=4))
        await trio.sleep(15)
        (execution,) = await under_test.history()
    assert execution.scheduled_time == at(10)
    assert execution.due_time == execution.start_time
    assert at(10) <= execution.due_time < at(14)


# -- exclusions ------------------------------------------------------------------------------


def excluding(under_test, items):
    """Let the kernel's types leave days out of every schedule, as the host's resolver does."""
    prepare = under_test.types.prepare
    exclusions = Exclusions(items, {}, ZoneInfo("UTC"))

    def prepared(event, anchor):
        plain = prepare(event, anchor)
        return replace(plain, schedule=Excluding(plain.schedule, exclusions))

    under_test.types.prepare = prepared


async def test_an_excluded_day_has_no_slots_and_leaves_no_records(autojump_clock):
    async with running_kernel() as under_test:
        excluding(under_test, ["2026-01-02"])
        await save_event(under_test.kernel, make_event(schedule_config={"seconds": DAY / 2}))
        await trio.sleep(3 * DAY + 1)
        history = await under_test.history()
    assert [run.scheduled_time for run in history] == [
        at(DAY / 2),
        at(2 * DAY),
        at(2.5 * DAY),
        at(3 * DAY),
    ]


async def test_a_calendar_that_changed_moves_the_next_slot_at_the_next_start(autojump_clock):
    event = calendar(DAY, 2 * DAY, origin="file")

    async def sync(under_test):
        await sync_origin(under_test.kernel, "file", [event])

    async def sync_without_the_second(under_test):
        excluding(under_test, ["2026-01-02"])
        await sync(under_test)

    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, before=sync):
            assert (await store.records(["event"]))["event"].state.next_run == at(DAY)
        async with running_kernel(store=store, start=at(5), before=sync_without_the_second):
            assert (await store.records(["event"]))["event"].state.next_run == at(2 * DAY)
        async with running_kernel(store=store, start=at(9), before=sync):
            assert (await store.records(["event"]))["event"].state.next_run == at(DAY)


# -- catching up -----------------------------------------------------------------------------


async def test_events_that_catch_up_start_one_after_another(autojump_clock):
    settings = KernelSettings(catchup_stagger=2)
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            for name in "abc":
                await save_event(first.kernel, calendar(100, 10 * DAY, event_id=name))
        async with running_kernel(store=store, start=at(200), settings=settings) as second:
            await trio.sleep(10)
            starts = sorted([(await second.history(name))[0].start_time for name in "abc"])
    assert starts == [at(200), at(202), at(204)]


async def test_one_event_catches_up_on_all_its_slots_one_after_another(autojump_clock):
    async def slow(config, execution):
        await trio.sleep(3)

    event = calendar(
        *range(10, 60, 10), action={"type": "slow"}, misfire=Misfire.ALL, misfire_grace=1e6
    )
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions={"slow": slow}) as first:
            await save_event(first.kernel, event)
        async with running_kernel(store=store, actions={"slow": slow}, start=at(500)) as second:
            await trio.sleep(60)
            history = await second.history()
    assert [run.status for run in history] == [Status.COMPLETED] * 5
    ends = [run.end_time for run in history]
    starts = [run.start_time for run in history]
    assert all(start >= end for start, end in zip(starts[1:], ends, strict=False))


async def test_catching_up_survives_a_stop_in_the_middle(autojump_clock):
    event = calendar(*range(10, 60, 10), misfire=Misfire.ALL, misfire_grace=1e6)
    settings = KernelSettings(catchup_stagger=10)
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await save_event(first.kernel, event)
        async with running_kernel(store=store, start=at(500), settings=settings) as second:
            await trio.sleep(15)
            ran_before = len(second.ran)
        async with running_kernel(store=store, start=at(520)) as third:
            await trio.sleep(10)
            statuses = [run.status for run in await third.history()]
    assert 0 < ran_before < 5
    assert statuses == [Status.COMPLETED] * 5
    assert ran_before + len(third.ran) == 5


# -- a clock that is not right yet -----------------------------------------------------------


@pytest.mark.parametrize("comes", [30, None])
async def test_calendar_events_wait_for_the_clock_and_intervals_run(comes, autojump_clock):
    settings = KernelSettings(wait_for_clock=120)

    async def untrusted(under_test):
        under_test.clock.synchronised = False
        await save_event(under_test.kernel, make_event("interval"))
        await save_event(under_test.kernel, calendar(10, event_id="calendar"))

    async with running_kernel(settings=settings, before=untrusted) as under_test:
        await trio.sleep(comes or 119)
        assert {run.event_id for run in under_test.ran} == {"interval"}
        under_test.clock.synchronised = comes is not None
        await trio.sleep(3)
        (execution,) = await under_test.history("calendar")
    assert execution.status is Status.COMPLETED
    told = [data["message"] for data in under_test.told("clock_waiting")]
    assert "wait for it up to 120 s" in told[0]
    assert ("is synchronised" in told[1]) is (comes is not None)


async def test_a_trusted_clock_holds_nothing_back(autojump_clock):
    settings = KernelSettings(wait_for_clock=120)
    async with running_kernel(settings=settings) as under_test:
        await save_event(under_test.kernel, calendar(10))
        await trio.sleep(11)
    assert ran(under_test) == [at(10)]
    assert under_test.told("clock_waiting") == []


# -- edits of what decides which slots count ---------------------------------------------------


async def edit_excludes(under_test, **fields):
    """Save the event again with the days of its ``exclude`` left out, as the host does it."""
    prepare = under_test.types.prepare

    def prepared(event, anchor):
        plain = prepare(event, anchor)
        if not event.exclude:
            return plain
        exclusions = Exclusions(event.exclude, {}, ZoneInfo("UTC"))
        return replace(plain, schedule=Excluding(plain.schedule, exclusions), exclusions=exclusions)

    under_test.types.prepare = prepared
    return await save_event(under_test.kernel, make_event(**fields))


@pytest.mark.parametrize("kind", ["clock", "every"])
async def test_an_edit_that_excludes_the_day_of_the_next_slot_moves_it(kind, autojump_clock):
    daily = {"schedule_type": kind, "schedule_config": {"seconds": DAY}}
    async with running_kernel() as under_test:
        assert (await save_event(under_test.kernel, make_event(**daily))).state.next_run == at(DAY)
        await trio.sleep(100)
        edited = await edit_excludes(under_test, exclude=("2026-01-02",), **daily)
        assert edited.state.next_run == at(2 * DAY)
        await trio.sleep(2 * DAY)
    assert ran(under_test) == [at(2 * DAY)]


@pytest.mark.parametrize("kind", ["clock", "every"])
async def test_an_edit_that_excludes_less_brings_the_slots_back(kind, autojump_clock):
    daily = {"schedule_type": kind, "schedule_config": {"seconds": DAY}}
    never = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    async with running_kernel() as under_test:
        record = await edit_excludes(under_test, exclude=never, **daily)
        assert record.state.next_run is None
        await trio.sleep(100)
        assert (await edit_excludes(under_test, **daily)).state.next_run == at(DAY)


async def test_a_new_rule_for_clock_changes_finds_the_next_slot_anew(autojump_clock):
    async with running_kernel() as under_test:
        prepare = under_test.types.prepare

        def by_rule(event, anchor):
            plain = prepare(event, anchor)
            return replace(plain, schedule=At((at(20 if event.dst_gap == "skip" else 10),)))

        under_test.types.prepare = by_rule
        await save_event(under_test.kernel, make_event(schedule_type="clock"))
        edited = await save_event(
            under_test.kernel, make_event(schedule_type="clock", dst_gap=DstGap.SKIP)
        )
    assert edited.state.next_run == at(20)


async def test_a_calendar_that_changed_moves_an_interval_too(autojump_clock):
    every_day = make_event(schedule_config={"seconds": DAY}, exclude=("free",))

    def sync_with(free):
        async def sync(under_test):
            prepare = under_test.types.prepare
            exclusions = Exclusions(["free"], {"free": free}, ZoneInfo("UTC"))

            def prepared(event, anchor):
                plain = prepare(event, anchor)
                schedule = Excluding(plain.schedule, exclusions)
                return replace(plain, schedule=schedule, exclusions=exclusions)

            under_test.types.prepare = prepared
            await sync_origin(under_test.kernel, "test", [every_day])

        return sync

    async def next_run(store):
        return (await store.records(["event"]))["event"].state.next_run

    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, before=sync_with(frozenset())):
            assert await next_run(store) == at(DAY)
        new_year = frozenset({date(2026, 1, 2)})
        async with running_kernel(store=store, start=at(5), before=sync_with(new_year)):
            assert await next_run(store) == at(2 * DAY)
        async with running_kernel(store=store, start=at(9), before=sync_with(frozenset())):
            assert await next_run(store) == at(DAY)


async def test_a_slot_that_ran_is_not_found_anew_when_the_clock_was_set_back(autojump_clock):
    half_hours = {"schedule_type": "clock", "schedule_config": {"seconds": 1800}}
    async with running_kernel() as under_test:
        await save_event(under_test.kernel, make_event(origin="file", **half_hours))
        await trio.sleep(1801)
        under_test.clock.step(-600)
        await trio.sleep(1)
        await sync_origin(under_test.kernel, "file", [make_event(origin="file", **half_hours)])
        await trio.sleep(2400)
        history = await under_test.history()
    assert [run.scheduled_time for run in history] == [at(1800), at(3600)]
    assert under_test.told("error") == []

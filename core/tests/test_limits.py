"""The host's places, named limits and priorities: who runs, who waits, who is turned away."""

from datetime import timedelta

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api import Mode, Status, Trigger, to_epoch
from alicia_scheduler.kernel.definitions import sync_origin
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.places import Places, WaitingRuns
from alicia_scheduler.kernel.run import Run, Stage
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START
from alicia_scheduler.testing.kernel import make_event, running_kernel


def at(seconds):
    return START + timedelta(seconds=seconds)


def once(name, second=10, **fields):
    return make_event(
        name,
        schedule_type="at",
        schedule_config={"epochs": [to_epoch(at(second))]},
        **({"action": {"type": "work"}} | fields),
    )


class Work:
    """An action of 10 s that notes the order of its starts and how many ran at once, by limit."""

    def __init__(self):
        self.order = []
        self.running = 0
        self.most = 0

    async def __call__(self, config, execution):
        self.order.append(execution.event_id)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await trio.sleep(10)
        finally:
            self.running -= 1


@pytest.fixture
def work():
    return Work()


async def run_all(events, work, seconds, **settings):
    """Everything that is in the history of these events afterwards, by event id."""
    settings = KernelSettings(**settings)
    async with running_kernel(actions={"work": work}, settings=settings) as under_test:
        await sync_origin(under_test.kernel, "test", events)
        await trio.sleep(seconds)
        found = await under_test.store.list_executions(limit=100_000)
        assert under_test.kernel.runner.running == 0
        assert under_test.kernel.runner.waiting == 0
    return {run.event_id: run for run in found}


async def test_events_that_share_a_limit_run_up_to_its_capacity_at_once(work, autojump_clock):
    events = [once(name, limit="radio") for name in "abcde"]
    history = await run_all(events, work, 60, limits={"radio": 2})
    assert work.most == 2
    assert [history[name].start_time for name in "abcde"] == [
        at(10),
        at(10),
        at(20),
        at(20),
        at(30),
    ]


async def test_an_execution_that_waits_for_a_limit_says_so(work, autojump_clock):
    settings = KernelSettings(limits={"radio": 1})
    async with running_kernel(actions={"work": work}, settings=settings) as under_test:
        await sync_origin(under_test.kernel, "test", [once(name, limit="radio") for name in "ab"])
        await trio.sleep(15)
        (waiting,) = await under_test.history("b")
        assert (waiting.status, waiting.reason) == (Status.PENDING, "limit")
        assert under_test.told("execution_queued")[0]["reason"] == "limit"


async def test_waiting_for_a_limit_holds_no_place_of_the_host(work, autojump_clock):
    events = [*(once(name, limit="radio") for name in "abc"), once("d")]
    history = await run_all(events, work, 60, limits={"radio": 1}, max_concurrent=2)
    assert history["d"].start_time == at(10)


async def test_waiting_for_a_place_holds_no_limit(work, autojump_clock):
    # The one place is taken until 20; then the higher priority is served, though it came later
    # and shares the limit with one that waited before it.
    events = [once("long", 10), once("low", 11, limit="radio"), once("high", 12, limit="radio")]
    events[2] = once("high", 12, limit="radio", priority=5)
    await run_all(events, work, 60, limits={"radio": 1}, max_concurrent=1)
    assert work.order == ["long", "high", "low"]


async def test_of_those_that_wait_the_highest_priority_is_first_then_the_earliest_slot(
    work, autojump_clock
):
    events = [
        once("first", 10),
        once("late-slot", 12),
        once("early-slot", 11),
        once("urgent", 13, priority=10),
        once("humble", 11, priority=-10),
    ]
    await run_all(events, work, 100, max_concurrent=1)
    assert work.order == ["first", "urgent", "early-slot", "late-slot", "humble"]


async def test_of_those_that_are_due_together_the_highest_priority_is_first(work, autojump_clock):
    events = [once("a"), once("b", priority=1), once("c", priority=2)]
    await run_all(events, work, 100, max_concurrent=1)
    assert work.order == ["c", "b", "a"]


async def test_a_limit_too_serves_the_highest_priority_first(work, autojump_clock):
    events = [
        once("first", 10, limit="radio"),
        once("low", 11, limit="radio"),
        once("high", 12, limit="radio", priority=1),
    ]
    await run_all(events, work, 100, limits={"radio": 1})
    assert work.order == ["first", "high", "low"]


async def test_the_next_of_a_queue_does_not_jump_ahead_of_others_nor_fall_behind(
    work, autojump_clock
):
    queue = make_event(
        "queue",
        schedule_type="at",
        schedule_config={"epochs": [to_epoch(at(10)), to_epoch(at(11))]},
        action={"type": "work"},
        mode=Mode.QUEUED,
        priority=5,
    )
    await run_all([queue, once("other", 10.5)], work, 100, max_concurrent=1)
    assert work.order == ["queue", "queue", "other"]


async def test_what_catches_up_is_let_in_by_priority(work, autojump_clock):
    events = [once("low", 10), once("high", 12, priority=3), once("middle", 11, priority=1)]
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions={"work": work}) as first:
            await sync_origin(first.kernel, "test", events)
        async with running_kernel(store=store, actions={"work": work}, start=at(60)) as second:
            await trio.sleep(60)
            history = [await second.history(event.event_id) for event in events]
    assert {run.trigger for (run,) in history} == {Trigger.CATCHUP}
    assert work.order == ["high", "middle", "low"]


async def test_a_full_queue_skips_the_next_execution_and_says_so(work, autojump_clock):
    events = [once(name) for name in "abcde"]
    settings = KernelSettings(max_concurrent=1, max_waiting=2)
    async with running_kernel(actions={"work": work}, settings=settings) as under_test:
        await sync_origin(under_test.kernel, "test", events)
        await trio.sleep(60)
        found = {name: (await under_test.history(name))[0] for name in "abcde"}
        told = under_test.told("execution_skipped")
    assert [found[name].status for name in "abcde"] == ["completed"] * 3 + ["skipped"] * 2
    assert found["e"].reason == "queue_full"
    assert "max_waiting" in found["e"].error_message
    assert [data["reason"] for data in told] == ["queue_full", "queue_full"]


async def test_a_full_queue_does_not_stop_what_can_start_at_once(work, autojump_clock):
    waiting = [once(name, limit="radio") for name in "abc"]
    history = await run_all(
        [*waiting, once("free", 11)], work, 60, limits={"radio": 1}, max_waiting=2
    )
    assert history["free"].start_time == at(11)


async def test_a_manual_trigger_meets_a_full_queue_like_a_slot(work, autojump_clock):
    settings = KernelSettings(max_concurrent=1, max_waiting=1)
    async with running_kernel(actions={"work": work}, settings=settings) as under_test:
        await sync_origin(under_test.kernel, "test", [once(name, 1000) for name in "abc"])
        answers = [(await under_test.kernel.trigger(name))[0] for name in "abc"]
    assert [answer.reason for answer in answers] == [None, None, "queue_full"]


async def test_catching_up_is_bounded_by_the_queue_too(work, autojump_clock):
    events = [once(f"e{number}") for number in range(8)]
    settings = KernelSettings(max_waiting=3, catchup_stagger=1)
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store, actions={"work": work}) as first:
            await sync_origin(first.kernel, "test", events)
        async with running_kernel(
            store=store, actions={"work": work}, start=at(60), settings=settings
        ) as second:
            await trio.sleep(60)
            history = [(await second.history(event.event_id))[0] for event in events]
    assert [run.status for run in history].count("completed") == 3
    assert [run.reason for run in history].count("queue_full") == 5


async def test_what_was_let_in_before_a_restart_is_not_turned_away_after_it(work, autojump_clock):
    events = [once(name) for name in "abcd"]
    async with SqliteStore.open(None) as store:
        with trio.CancelScope() as power:
            settings = KernelSettings(max_concurrent=1)
            async with running_kernel(
                store=store, actions={"work": work}, settings=settings
            ) as first:
                await sync_origin(first.kernel, "test", events)
                await trio.sleep(12)
                power.cancel()
        settings = KernelSettings(max_concurrent=1, max_waiting=1)
        async with running_kernel(
            store=store, actions={"work": work}, settings=settings, start=at(12)
        ) as second:
            await trio.sleep(60)
            history = [(await second.history(event.event_id))[-1] for event in events]
    assert [run.status for run in history] == [Status.COMPLETED] * 4


async def test_a_cancelled_execution_leaves_the_line_for_a_limit(work, autojump_clock):
    settings = KernelSettings(limits={"radio": 1})
    async with running_kernel(actions={"work": work}, settings=settings) as under_test:
        await sync_origin(under_test.kernel, "test", [once(name, limit="radio") for name in "abc"])
        await trio.sleep(15)
        (waiting,) = await under_test.history("b")
        assert await under_test.kernel.cancel(waiting.execution_id, "cancelled")
        await trio.sleep(30)
        (cancelled,) = await under_test.history("b")
    assert (cancelled.status, cancelled.start_time) == (Status.CANCELLED, None)
    assert work.order == ["a", "c"]


# -- the rooms by themselves -------------------------------------------------------------------

EVENTS = [
    make_event(f"{limit}-{priority}", limit=limit, priority=priority)
    for limit in (None, "radio", "disk")
    for priority in (-1, 0, 1)
]


def run_of(event, number):
    return Run(event, None, new_execution(event, at(number % 3)), arrival=number)


@given(st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 30)), max_size=60))
def test_waiting_runs_come_out_in_turn_whoever_left_before(steps):
    heap, inside = WaitingRuns(), []
    for number, (event, enters, chosen) in enumerate(steps):
        if enters or not inside:
            run = run_of(EVENTS[event], number)
            heap.push(run)
            inside.append(run)
        else:
            heap.discard(inside.pop(chosen % len(inside)))
        assert len(heap) == len(inside)
    order = [heap.pop() for _ in inside]
    assert [run.turn for run in order] == sorted(run.turn for run in inside)
    assert heap.pop() is None


@given(
    places=st.integers(1, 3),
    radio=st.integers(1, 2),
    steps=st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.integers(0, 30)), max_size=80),
)
def test_places_and_limits_are_never_exceeded_and_never_idle_while_somebody_could_run(
    places, radio, steps
):
    limits = {"radio": radio, "disk": 1}
    room = Places(places, limits)
    inside = []

    def held(limit):
        return sum(run.active and run.event.limit == limit for run in inside)

    for number, (event, enters, chosen) in enumerate(steps):
        if enters or not inside:
            run = run_of(EVENTS[event], number)
            inside.append(run)
            room.claim(run)
        else:
            leaver = inside.pop(chosen % len(inside))
            served = room.release(leaver)
            assert all(run in inside and run.active for run in served)
            assert [run.turn for run in served] == sorted(run.turn for run in served)
        active = [run for run in inside if run.active]
        assert room.taken == len(active) <= places
        assert all(held(limit) <= capacity for limit, capacity in limits.items())
        if len(active) < places:
            for run in inside:
                full = run.event.limit and held(run.event.limit) >= limits[run.event.limit]
                assert run.active or (full and run.stage is Stage.LIMIT)
        elif active:
            # Whoever waits for nothing but a place is in line for one.
            for limit, capacity in limits.items():
                waiting = [run for run in inside if run.event.limit == limit and not run.active]
                in_line = sum(run.stage is Stage.PLACE for run in waiting)
                assert in_line >= min(capacity - held(limit), len(waiting))

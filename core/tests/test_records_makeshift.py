"""A kernel on a store that memory stands in for: it runs, keeps trying, and takes over."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import EventState, OnInterrupted, Status, StoreError, Trigger
from alicia_scheduler.api.store import SaveEvent, SaveExecution, SaveFact
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.notifications import Notifier, Told
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel

FULL = StoreError("store here: the disk is full; free some space", transient=True)


class Makeshift:
    """A store in memory that says it stands in for a place, until :attr:`away` is False.

    Attributes:
        there: what only the place knows, which comes to light when it is written again.
        asked: when it was told to recover.
    """

    def __init__(self, store):
        self._store = store
        self.makeshift = True
        self.away = True
        self.there = []
        self.asked = []
        self.fault = None

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def facts(self):
        if self.fault is not None:
            raise self.fault
        return await self._store.facts()

    async def recover(self):
        self.asked.append(trio.current_time())
        if self.away:
            raise FULL
        await self._store.commit(self.there)
        self.makeshift = False
        return "store here: it is written again"


@pytest.fixture
async def store():
    async with SqliteStore.open(None) as opened:
        yield Makeshift(opened)


def with_event(**fields):
    return lambda k: save_event(k.kernel, make_event(**fields))


async def test_the_schedule_runs_and_nothing_is_degraded(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(35)
        assert len(k.ran) == 3
        assert k.kernel.records.degraded is None
        assert [run.status for run in await k.history()] == [Status.COMPLETED] * 3


async def test_the_way_back_is_tried_every_ten_seconds_until_it_is_open(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        began = trio.current_time()
        await k.clock.advance(45)
        store.away = False
        await k.clock.advance(100)
    assert [round(at - began) for at in store.asked] == [10, 20, 30, 40, 50]


async def test_it_is_told_when_what_happens_is_kept_again(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(25)
        assert k.told("store_recovered") == []
        store.away = False
        await k.clock.advance(10)
    (recovered,) = k.told("store_recovered")
    assert recovered["message"] == "store here: it is written again"
    assert 25 <= recovered["seconds"] <= 35
    assert recovered["lost"] == 0
    numbers = [notification.sequence for notification in k.notifications]
    assert numbers == list(range(1, len(numbers) + 1))


async def test_an_event_that_only_the_place_knew_comes_alive(store, autojump_clock):
    due = START.replace(second=50)
    hidden = EventState(next_run=due, next_due=due, anchor=START)
    store.there = [SaveEvent(make_event("hidden"), hidden)]
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(25)
        store.away = False
        await k.clock.advance(30)
    assert [run.scheduled_time for run in k.ran if run.event_id == "hidden"] == [due]
    assert len([run for run in k.ran if run.event_id == "event"]) == 5


async def test_what_the_place_knows_as_unfinished_is_settled_and_what_runs_is_not(
    store, autojump_clock
):
    async def long(_config, _execution):
        await trio.sleep(30)

    broken = replace(new_execution(make_event("hidden"), START), status=Status.RUNNING)
    store.there = [
        SaveEvent(make_event("hidden", max_runs=0), EventState(anchor=START)),
        SaveExecution(broken),
    ]
    event = with_event(action={"type": "long"}, max_runs=1)
    async with running_kernel(store=store, actions={"long": long}, before=event) as k:
        await k.clock.advance(15)
        store.away = False
        await k.clock.advance(30)
        own = await k.history()
        theirs = await k.history("hidden")
    assert [run.status for run in own] == [Status.COMPLETED]
    assert sorted((run.status, run.trigger) for run in theirs) == [
        (Status.COMPLETED, Trigger.RECOVERY),
        (Status.INTERRUPTED, Trigger.SCHEDULE),
    ]
    (recovery,) = k.told("recovery")
    assert (recovery["interrupted"], recovery["rerun"]) == (1, 1)


@pytest.mark.parametrize("slow", [1, 2])
async def test_a_run_that_ends_while_the_place_is_looked_at_is_not_taken_for_interrupted(
    store, autojump_clock, slow
):
    """The store is asked, the run ends, and only then the answer is looked at."""

    async def look():
        found = await store._store.unfinished()
        if not store.makeshift:
            looked.append(found)
            if len(looked) == slow:
                await trio.sleep(10)
        return found

    async def long(_config, _execution):
        await trio.sleep(13)

    looked = []
    store.unfinished = look
    event = with_event(action={"type": "long"}, max_runs=1)
    async with running_kernel(store=store, actions={"long": long}, before=event) as k:
        await k.clock.advance(15)
        store.away = False
        await k.clock.advance(30)
        history = await k.history()
    assert [run.status for run in looked[slow - 1]] == [Status.RUNNING]
    assert [run.status for run in history] == [Status.COMPLETED]


async def test_numbers_go_on_behind_those_that_the_place_knows(store, autojump_clock):
    store.there = [
        SaveFact("former sequence", 1000),
        SaveFact("former starts", {"count": 6, "unclean": 1, "running": False}),
    ]
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(15)
        store.away = False
        await k.clock.advance(30)
        assert k.kernel.records.starts.count == 7
    numbers = [notification.sequence for notification in k.notifications]
    before = [number for number in numbers if number < 1000]
    after = numbers[len(before) :]
    assert before == list(range(1, len(before) + 1))
    assert after == list(range(1001, 1001 + len(after)))
    assert len(after) > 4
    facts = await store.facts()
    assert facts["sequence"] == numbers[-1]


async def test_what_has_its_number_is_heard_before_a_jump_of_the_numbers(autojump_clock):
    notifier = Notifier(VirtualClock())
    heard = []
    notifier.listen(lambda notification: heard.append(notification.sequence))
    first = notifier.numbered([Told("first", {})], notifier.reserve(1))
    notifier.resume(10)
    second = notifier.numbered([Told("second", {})], notifier.reserve(1))
    notifier.deliver(second)
    assert heard == []
    notifier.deliver(first)
    assert heard == [1, 11]


async def test_an_event_at_most_once_does_not_run_while_its_record_is_in_memory_only(
    store, autojump_clock
):
    once = with_event(on_interrupted=OnInterrupted.FAIL)
    async with running_kernel(store=store, before=once) as k:
        await k.clock.advance(25)
        assert k.ran == []
        store.away = False
        await k.clock.advance(10)
        history = await k.history()
    assert [run.reason for run in history] == ["unrecorded"] * 2 + [None]


async def test_a_place_that_fails_at_once_is_taken_over_later(store, autojump_clock):
    due = START.replace(second=50)
    hidden = EventState(next_run=due, next_due=due, anchor=START)
    store.there = [SaveEvent(make_event("hidden"), hidden)]
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(15)
        store.away = False
        store.fault = FULL
        await k.clock.advance(20)
        assert k.kernel.records.degraded == str(FULL)
        store.fault = None
        await k.clock.advance(20)
        assert k.kernel.records.degraded is None
    assert [run.scheduled_time for run in k.ran if run.event_id == "hidden"] == [due]


async def test_the_way_back_is_tried_once_more_at_the_end(store, autojump_clock):
    async with running_kernel(store=store, before=with_event()) as k:
        await k.clock.advance(12)
        store.away = False
    assert not store.makeshift
    assert len(k.ran) == 1

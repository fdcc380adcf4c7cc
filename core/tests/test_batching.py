"""The profile ``flash``: what a crash takes back, what it never does, and how little is written."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from alicia_scheduler.api import OnInterrupted, Status, StoreError, Trigger
from alicia_scheduler.api.store import SaveExecution, SaveFact
from alicia_scheduler.kernel.batching import NUMBERS_AHEAD, BatchingStore, must_be_written
from alicia_scheduler.kernel.definitions import save_event
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel

WINDOW = 10.0
FULL = StoreError("store here: the disk is full; free some space", transient=True)


class Disk:
    """A store in memory that counts what is written, and takes nothing once the power is gone."""

    def __init__(self, store):
        self._store = store
        self.commits = 0
        self.changes = 0
        self.fault = None

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, changes):
        if self.fault is not None:
            raise self.fault
        await self._store.commit(changes)
        self.commits += 1
        self.changes += len(changes)


@pytest.fixture
async def disk():
    async with SqliteStore.open(None) as opened:
        yield Disk(opened)


def batching(disk):
    return BatchingStore.running(disk, WINDOW)


async def prepare(events, k):
    """Save events, and force what the profile forces from now on."""
    for event in events:
        await save_event(k.kernel, event)
    k.store.forced = partial(must_be_written, k.kernel.catalog)


def host(store, *events, **options):
    return running_kernel(store=store, before=partial(prepare, events), **options)


async def cut_after(disk, seconds, *events, **options):
    """Run on a disk and cut the power after so many seconds; returns the kernel as it was."""
    clock = VirtualClock()
    async with batching(disk) as store, host(store, *events, clock=clock, **options) as k:
        await clock.advance(seconds)
        disk.fault = FULL
        clock.lose_power(1)
        await trio.sleep_forever()
    disk.fault = None
    return k, clock


def once(event_id="event", at=5, **fields):
    epochs = {"epochs": [START.timestamp() + at]}
    return make_event(event_id, schedule_type="at", schedule_config=epochs, **fields)


async def test_what_happens_within_the_window_is_one_transaction(disk, autojump_clock):
    event = make_event(schedule_config={"seconds": 1})
    async with batching(disk) as store, host(store, event) as k:
        await k.clock.advance(0.5)
        before, changes = disk.commits, disk.changes
        await k.clock.advance(100)
        assert len(k.ran) == 100
        # The kernel compares its agenda with the store once a minute, which writes before.
        batches = 100 / WINDOW + 2
        assert disk.commits - before <= batches
        # The state of the event and the number of the last notification are there once a batch.
        assert disk.changes - changes <= 100 + 3 * batches


async def test_nothing_is_written_while_nothing_happens(disk, autojump_clock):
    async with batching(disk) as store, host(store, make_event(enabled=False)) as k:
        await k.clock.advance(WINDOW)
        before = disk.commits
        await k.clock.advance(3600)
        assert disk.commits == before


async def test_who_reads_finds_what_has_just_happened(disk, autojump_clock):
    async with batching(disk) as store, host(store, make_event()) as k:
        await k.clock.advance(10.5)
        (run,) = await k.history()
        assert run.status is Status.COMPLETED


@pytest.mark.parametrize("after", [24.5, 29.5, 30.5, 31.5, 39.5, 45.0])
async def test_a_power_cut_takes_back_no_more_than_the_window(disk, autojump_clock, after):
    event = make_event(schedule_config={"seconds": 1})
    k, _ = await cut_after(disk, after, event)
    kept = {run.scheduled_time for run in await disk.list_executions(limit=1000)}
    ended = [(run.scheduled_time - START).total_seconds() for run in k.ran]
    lost = [slot for slot in ended if not any((at - START).total_seconds() == slot for at in kept)]
    assert all(after - slot <= WINDOW + 1 for slot in lost)


async def test_what_was_taken_back_runs_again(disk, autojump_clock):
    before, clock = await cut_after(disk, 15, make_event(misfire_grace=60.0))
    assert len(before.ran) == 1
    async with batching(disk) as store, host(store, clock=clock) as k:
        await clock.advance(1)
        assert [run.scheduled_time for run in k.ran] == [before.ran[0].scheduled_time]


@pytest.mark.parametrize("after", [5.0, 5.5, 8.0, 14.0])
@pytest.mark.parametrize("seconds", [0.0, 1.0])
async def test_what_runs_once_never_runs_twice_when_it_had_ended(
    disk, autojump_clock, after, seconds
):
    ended = []

    async def slow(_config, execution):
        await trio.sleep(seconds)
        ended.append(execution.execution_id)

    slowly = {"slow": slow}
    event = once(action={"type": "slow"})
    _, clock = await cut_after(disk, after, event, actions=slowly)
    async with batching(disk) as store, host(store, clock=clock, actions=slowly):
        await clock.advance(60)
    assert len(ended) == 1


@pytest.mark.parametrize("after", [10.0, 10.5, 15.0, 20.0, 20.5])
async def test_what_must_run_at_most_once_never_runs_twice(disk, autojump_clock, after):
    began = []

    async def slow(_config, execution):
        began.append(execution.scheduled_time)
        await trio.sleep(1)

    event = make_event(action={"type": "slow"}, on_interrupted=OnInterrupted.FAIL)
    _, clock = await cut_after(disk, after, event, actions={"slow": slow})
    async with batching(disk) as store, host(store, clock=clock, actions={"slow": slow}):
        await clock.advance(60)
    assert len(began) == len(set(began))


async def test_a_counted_event_runs_no_more_often(disk, autojump_clock):
    began = []

    async def count(_config, execution):
        began.append(execution.scheduled_time)

    event = make_event(action={"type": "count"}, max_runs=3)
    _, clock = await cut_after(disk, 25, event, actions={"count": count})
    async with batching(disk) as store, host(store, clock=clock, actions={"count": count}):
        await clock.advance(600)
    assert len(began) == len(set(began)) == 3


async def test_an_event_that_was_accepted_survives(disk, autojump_clock):
    await cut_after(disk, 0.5, make_event("late"))
    assert "late" in await disk.records(["late"])


async def test_no_number_is_told_twice_after_a_power_cut(disk, autojump_clock):
    before, clock = await cut_after(disk, 27, make_event(schedule_config={"seconds": 1}))
    async with batching(disk) as store, host(store, clock=clock) as k:
        await clock.advance(5)
        told = {item.sequence for item in before.notifications}
        assert told.isdisjoint(item.sequence for item in k.notifications)
        assert max(told) < k.notifications[0].sequence <= max(told) + NUMBERS_AHEAD + 1


async def test_numbers_have_no_hole_after_a_stop_in_order(disk, autojump_clock):
    async with batching(disk) as store, host(store, make_event()) as first:
        await first.clock.advance(35)
    async with batching(disk) as store, host(store) as second:
        await second.clock.advance(15)
    numbers = [item.sequence for item in first.notifications + second.notifications]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


async def test_what_waits_is_written_at_the_end(disk, autojump_clock):
    async with batching(disk) as store, host(store, make_event()) as k:
        await k.clock.advance(15)
    (run,) = await disk.list_executions()
    assert run.status is Status.COMPLETED


async def test_a_full_disk_is_told_and_what_waited_is_written_later(disk, autojump_clock):
    event = make_event(schedule_config={"seconds": 1})
    async with batching(disk) as store, host(store, event) as k:
        await k.clock.advance(5.5)
        disk.fault = FULL
        await k.clock.advance(30)
        assert k.kernel.records.degraded is not None
        disk.fault = None
        await k.clock.advance(30)
        assert k.kernel.records.degraded is None
        runs = await k.history()
        assert len(runs) == len(k.ran) == 65


async def test_a_change_that_is_refused_takes_no_other_with_it(disk, autojump_clock):
    event = make_event()
    async with batching(disk) as store, host(store, event):
        first = new_execution(event, START, Trigger.SCHEDULE, START)
        second = new_execution(event, START, Trigger.SCHEDULE, START)
        store.forced = lambda _change: False
        await store.commit([SaveExecution(first)])
        await store.commit([SaveExecution(second)])
        await store.commit([SaveFact("kept", 1)])
        assert (await store.facts())["kept"] == 1
        kept = [run.execution_id for run in await store.list_executions()]
        assert kept == [first.execution_id]

"""Commands and commits that meet: whoever comes while something is being written loses nothing."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from msgspec.structs import replace

from alicia_scheduler.api import Mode, Retryable, Status
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel


class Held:
    """A store in memory whose commits and reads can be held up, as by a slow disk.

    What is held ends in the order that the test says: ``let`` takes the position of each.
    """

    def __init__(self, store):
        self._store = store
        self.hold_commit = lambda changes: False
        self.hold_reads = False
        self.held = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, changes):
        await self._store.commit(changes)
        if self.hold_commit(changes):
            await self._wait()

    async def records(self, event_ids):
        found = await self._store.records(event_ids)
        if self.hold_reads:
            await self._wait()
        return found

    async def _wait(self):
        turn = trio.Event()
        self.held.append(turn)
        await turn.wait()

    async def let(self, *positions):
        self.hold_commit, self.hold_reads = lambda changes: False, False
        held, self.held = self.held, []
        for position in positions or range(len(held)):
            held[position].set()
            await trio.testing.wait_all_tasks_blocked()


@pytest.fixture
async def store():
    async with SqliteStore.open(None) as opened:
        yield Held(opened)


def executions_of(changes, status):
    found = [change.execution for change in changes if hasattr(change, "execution")]
    return [execution for execution in found if execution.status is status]


async def fail(config, execution):
    raise Retryable("not now")


async def test_a_cancellation_that_meets_the_writing_down_of_a_retry_is_not_lost(
    store, autojump_clock
):
    event = make_event(action={"type": "fail"}, max_retries=3, retry_delay=3.0)
    async with running_kernel(store=store, actions={"fail": fail}) as k:
        await save_event(k.kernel, event)
        store.hold_commit = lambda changes: any(
            execution.next_attempt_at for execution in executions_of(changes, Status.PENDING)
        )
        await k.clock.advance(10.5)
        (execution,) = await k.history()
        assert await k.kernel.cancel(execution.execution_id, "cancelled")
        await store.let()
        await k.clock.advance(9)
        (execution,) = await k.history()
        assert (execution.status, execution.reason) == (Status.CANCELLED, "cancelled")
        assert execution.error_message == "not now"


async def test_a_restart_that_meets_the_writing_down_of_a_retry_leaves_one_run(
    store, autojump_clock
):
    event = make_event(action={"type": "fail"}, mode=Mode.RESTART, max_retries=3, retry_delay=30.0)
    async with running_kernel(store=store, actions={"fail": fail}) as k:
        await save_event(k.kernel, event)
        store.hold_commit = lambda changes: any(
            execution.next_attempt_at for execution in executions_of(changes, Status.PENDING)
        )
        await k.clock.advance(10.5)
        store.hold_commit = lambda changes: False
        await k.kernel.trigger("event")
        await store.let()
        await trio.testing.wait_all_tasks_blocked()
        assert [run.status for run in await k.history()] == [Status.CANCELLED, Status.PENDING]


async def test_an_edit_that_meets_the_commit_of_a_slot_decides_when_the_event_is_due_next(
    store, autojump_clock
):
    async with running_kernel(store=store, start=VirtualClock().now()) as k:
        await save_event(k.kernel, make_event(schedule_config={"seconds": 3600}))
        store.hold_commit = lambda changes: True
        await k.clock.advance(3600.5)
        async with trio.open_nursery() as nursery:
            edited = make_event(schedule_config={"seconds": 10})
            nursery.start_soon(save_event, k.kernel, edited)
            await trio.testing.wait_all_tasks_blocked()
            # Both are in one transaction, and trio wakes their tasks in any order.
            await store.let(1, 0)
        await k.clock.advance(35)
        assert len(k.ran) == 4


async def test_an_edit_that_meets_the_end_of_an_execution_with_followers_keeps_its_schedule(
    store, autojump_clock
):
    async def work(config, execution):
        await trio.sleep(5)

    event = make_event(action={"type": "work"}, on_success=("after",))
    async with running_kernel(store=store, actions={"work": work}) as k:
        await save_event(k.kernel, event)
        await k.clock.advance(12)
        store.hold_reads = True
        await k.clock.advance(3.5)
        assert len(store.held) == 1
        store.hold_reads = False
        edited = replace(event, schedule_config={"seconds": 60})
        await save_event(k.kernel, edited)
        in_memory = k.kernel.catalog.get("event").state.next_run
        await store.let()
        stored = (await store.records(["event"]))["event"]
        assert stored.state.next_run == in_memory
        assert stored.state.run_count == 1


async def test_an_end_is_counted_by_the_transaction_that_holds_it(store, autojump_clock):
    async def work(config, execution):
        await trio.sleep(15)

    event = make_event(
        action={"type": "work"}, mode=Mode.PARALLEL, on_success=("after",), retry_yields=False
    )
    async with running_kernel(store=store, actions={"work": work}) as k:
        await save_event(k.kernel, event)
        await k.clock.advance(24.5)
        store.hold_reads = True
        await k.clock.advance(6)
        assert len(store.held) == 1
        store.hold_reads = False
        stored = (await store.records(["event"]))["event"]
        running = [run for run in await k.history() if run.status is Status.RUNNING]
        assert (stored.state.run_count, len(running)) == (0, 3)
        await store.let()


async def test_an_event_that_is_removed_while_a_slot_is_committed_does_not_go_on_running(
    store, autojump_clock
):
    ended = []

    async def work(config, execution):
        try:
            await trio.sleep(1000)
        finally:
            ended.append(execution)

    async with running_kernel(store=store, actions={"work": work}) as k:
        await sync_origin(k.kernel, "test", [make_event(action={"type": "work"})])
        await k.clock.advance(9)
        store.hold_commit = lambda changes: True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sync_origin, k.kernel, "test", [])
            await trio.testing.wait_all_tasks_blocked()
            await k.clock.advance(1.5)
            await store.let()
            await trio.testing.wait_all_tasks_blocked()
        (execution,) = await k.history()
        assert (execution.status, execution.reason) == (Status.CANCELLED, "removed")
        assert not k.kernel.agenda.holds("event")


async def test_an_event_that_is_removed_while_it_is_read_is_not_taken_in_hand(
    store, autojump_clock
):
    clock = VirtualClock()
    async with running_kernel(store=store, clock=clock) as k:
        await save_event(k.kernel, make_event())
        k.kernel.catalog.remove("event")
        catalog = k.kernel.catalog
        store.hold_reads = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(catalog.load, ["event"])
            await trio.testing.wait_all_tasks_blocked()
            store.hold_reads = False
            await sync_origin(k.kernel, "test", [])
            await store.let()
        assert catalog.get("event") is None


async def test_an_event_that_is_made_anew_while_it_is_removed_stays(store, autojump_clock):
    async with running_kernel(store=store) as k:
        await save_event(k.kernel, make_event())
        store.hold_commit = lambda changes: True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(sync_origin, k.kernel, "test", [])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(save_event, k.kernel, make_event(name="again"))
            await trio.testing.wait_all_tasks_blocked()
            await store.let()
        assert (await store.records(["event"]))["event"].event.name == "again"
        await k.clock.advance(15)
        assert len(k.ran) == 1


async def test_a_removed_event_leaves_nothing_under_way_and_its_history_behind(
    store, autojump_clock
):
    async def work(config, execution):
        if not len(k.ran):
            k.ran.append(execution)
            raise Retryable("not now")
        await trio.sleep(1000)

    event = make_event(
        action={"type": "work"}, mode=Mode.QUEUED, max_retries=1, retry_delay=500, timeout=2000
    )
    async with running_kernel(store=store, actions={"work": work}) as k:
        await sync_origin(k.kernel, "test", [event])
        await k.clock.advance(20.5)
        await k.kernel.trigger("event")
        waiting = [run.status for run in k.kernel.runner.of_event("event")]
        assert sorted(waiting) == [Status.PENDING, Status.RUNNING]
        await sync_origin(k.kernel, "test", [])
        await k.clock.advance(100)
        assert k.kernel.runner.under_way() == []
        ends = [(run.status, run.reason) for run in await k.history()]
        assert ends[-2:] == [(Status.CANCELLED, "removed")] * 2

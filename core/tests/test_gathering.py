"""Runs that are written down together."""

import trio
import trio.testing

from alicia_scheduler.api import Status
from alicia_scheduler.kernel.definitions import sync_origin
from alicia_scheduler.kernel.gathering import TOGETHER, Gathering
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.kernel import make_event, running_kernel


async def test_what_comes_while_some_are_handled_is_handled_together_and_in_order(nursery):
    handled = []
    goes_on = trio.Event()

    async def handle(runs):
        handled.append(list(runs))
        await goes_on.wait()

    gathering = Gathering(handle)
    nursery.start_soon(gathering.work)
    for number in range(5):
        gathering.put(number)
        await trio.testing.wait_all_tasks_blocked()
    goes_on.set()
    await trio.testing.wait_all_tasks_blocked()
    assert handled == [[0], [1, 2, 3, 4]]


async def test_no_more_than_a_few_are_handled_at_once():
    sizes = []

    async def handle(runs):
        sizes.append(len(runs))

    gathering = Gathering(handle)
    for number in range(TOGETHER + 1):
        gathering.put(number)
    await gathering.finish()
    assert sizes == [TOGETHER, 1]


class CountingStore:
    """A store that counts its commits, and takes a moment for each."""

    def __init__(self, store):
        self._store = store
        self.commits = 0

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, changes):
        self.commits += 1
        await trio.sleep(0.001)
        await self._store.commit(changes)


async def test_a_burst_takes_a_few_commits_although_most_wait_for_a_place(autojump_clock):
    async with SqliteStore.open(None) as store:
        counting = CountingStore(store)
        settings = KernelSettings(max_concurrent=100)
        async with running_kernel(store=counting, settings=settings) as run:
            events = [make_event(f"e{number}") for number in range(1000)]
            await sync_origin(run.kernel, "test", events)
            before = counting.commits
            await trio.sleep(15)
            taken = counting.commits - before
            ended = [await run.history(event.event_id) for event in events]
    assert [[each.status for each in history] for history in ended] == [[Status.COMPLETED]] * 1000
    assert taken < 50


async def test_ends_that_wait_to_be_written_down_are_written_when_the_kernel_is_cancelled(
    autojump_clock,
):
    async with SqliteStore.open(None) as store:
        counting = CountingStore(store)
        with trio.CancelScope() as scope:
            async with running_kernel(store=counting) as run:
                await sync_origin(run.kernel, "test", [make_event(f"e{n}") for n in range(20)])
                await trio.sleep(10.0011)
                scope.cancel()
                await trio.sleep_forever()
        ended = [await store.list_executions(event_id=f"e{number}") for number in range(20)]
    assert len(run.ran) == 20
    assert {run.status for history in ended for run in history} == {Status.COMPLETED}

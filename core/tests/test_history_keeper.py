"""The history is kept short while the host runs, and nothing wakes up for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import Status
from alicia_scheduler.api.store import SaveExecution
from alicia_scheduler.config.settings import HistorySettings
from alicia_scheduler.host.history import WALK_AFTER, HistoryKeeper
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.kernel.notifications import Notifier, about_execution
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event

EVENT = make_event()
DAY = 86_400
NOTHING = HistorySettings(max_age=0, per_event=0, max_size=0, keep_per_status=1)


def run(number, status=Status.COMPLETED):
    slot = START + timedelta(seconds=number)
    execution = new_execution(EVENT, slot)
    return replace(execution, execution_id=str(number), status=status, end_time=slot)


class Keeping:
    def __init__(self, store, clock, notifier):
        self.store = store
        self.clock = clock
        self.notifier = notifier

    async def add(self, *runs):
        await self.store.commit([SaveExecution(each) for each in runs])
        for each in runs:
            self.notifier.emit(*about_execution(each, "event"))

    async def kept(self):
        found = await self.store.list_executions(limit=100_000)
        return sorted(int(each.execution_id) for each in found)


@pytest.fixture
async def keeping():
    async with SqliteStore.open(None) as store:
        clock = VirtualClock()
        yield Keeping(store, clock, Notifier(clock))


async def started(nursery, keeping, settings):
    keeper = HistoryKeeper(keeping.store, keeping.clock, settings)
    keeping.notifier.listen(keeper.listen)
    nursery.start_soon(keeper.run)
    await trio.sleep(1)
    return keeper


async def test_what_is_too_old_goes_at_start(keeping, nursery, autojump_clock):
    await keeping.add(*map(run, range(10)))
    await trio.sleep(100)
    await started(nursery, keeping, replace(NOTHING, max_age=95.0))
    assert await keeping.kept() == [5, 6, 7, 8, 9]


async def test_what_is_too_many_goes_once_enough_has_ended(keeping, nursery, autojump_clock):
    await started(nursery, keeping, replace(NOTHING, per_event=3))
    await keeping.add(*map(run, range(WALK_AFTER - 1)))
    await trio.sleep(10)
    assert len(await keeping.kept()) == WALK_AFTER - 1
    await keeping.add(run(WALK_AFTER))
    await trio.sleep(10)
    assert await keeping.kept() == [WALK_AFTER - 3, WALK_AFTER - 2, WALK_AFTER]


async def test_an_end_a_day_after_the_last_walk_begins_another(keeping, nursery, autojump_clock):
    await started(nursery, keeping, replace(NOTHING, per_event=3))
    await keeping.add(*map(run, range(10)))
    await trio.sleep(DAY)
    assert len(await keeping.kept()) == 10
    await keeping.add(run(10))
    await trio.sleep(10)
    assert await keeping.kept() == [8, 9, 10]


async def test_a_rare_failure_is_not_pushed_out(keeping, nursery, autojump_clock):
    await keeping.add(run(0, Status.FAILED), *map(run, range(1, 10)))
    await started(nursery, keeping, replace(NOTHING, per_event=3))
    assert await keeping.kept() == [0, 7, 8, 9]


async def test_bites_are_small_and_leave_room_between_them(keeping, nursery, autojump_clock):
    await keeping.add(*map(run, range(2000)))
    before = trio.current_time()
    keeper = await started(nursery, keeping, replace(NOTHING, per_event=1))
    while keeper.trimmed < 1999:
        await trio.sleep(0.01)
    assert trio.current_time() - before >= 0.3
    assert await keeping.kept() == [1999]


async def test_unfinished_executions_stay(keeping, nursery, autojump_clock):
    await keeping.add(run(0, Status.RUNNING), run(1), run(2))
    await trio.sleep(100)
    await started(nursery, keeping, replace(NOTHING, max_age=1.0))
    assert await keeping.kept() == [0, 2]

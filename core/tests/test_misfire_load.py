"""A burst that takes long to get through is load; a misfire is what nobody looked at in time."""

from datetime import timedelta

import trio

from alicia_scheduler.api import Misfire, Status, Trigger, to_epoch
from alicia_scheduler.kernel.definitions import sync_origin
from alicia_scheduler.kernel.kernel import KernelSettings
from alicia_scheduler.kernel.notice import STOOD_STILL, Notice
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel


class SlowStore:
    """A store whose commits of executions take a while."""

    def __init__(self, store, seconds):
        self._store = store
        self._seconds = seconds

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, changes):
        if any(type(change).__name__ == "SaveExecution" for change in changes):
            await trio.sleep(self._seconds)
        await self._store.commit(changes)


def at(seconds):
    return START + timedelta(seconds=seconds)


async def burst(commits_take, *, events=10):
    """Events with ``misfire = "skip"``, due together and handled two at a time: what became of
    each slot."""
    due = {"schedule_type": "at", "schedule_config": {"epochs": [to_epoch(at(10))]}}
    definitions = [make_event(f"e{n}", misfire=Misfire.SKIP, **due) for n in range(events)]
    async with SqliteStore.open(None) as store:
        slow = SlowStore(store, commits_take)
        async with running_kernel(store=slow, settings=KernelSettings(batch=2)) as run:
            await sync_origin(run.kernel, "test", definitions)
            await trio.sleep(500)
            return [ended for event in definitions for ended in await run.history(event.event_id)]


async def test_slots_that_wait_for_their_turn_behind_others_are_no_misfires(autojump_clock):
    ended = await burst(commits_take=3)
    assert [run.status for run in ended] == [Status.COMPLETED] * 10
    assert {run.trigger for run in ended} == {Trigger.SCHEDULE}
    assert max(run.lateness for run in ended) > STOOD_STILL


async def test_slots_that_come_up_after_the_kernel_stood_still_are_misfires(autojump_clock):
    ended = await burst(commits_take=STOOD_STILL + 1)
    assert [run.status for run in ended[:2]] == [Status.COMPLETED] * 2
    assert {(run.status, run.reason) for run in ended[2:]} == {(Status.MISSED, "misfire")}


async def test_what_came_due_while_others_took_their_turn_was_noticed_at_once(autojump_clock):
    clock = VirtualClock(START)
    notice = Notice(clock)
    await clock.advance(10)
    notice.look(clock.now())
    await clock.advance(4)
    notice.look(clock.now())
    assert notice.of(at(3), clock.now()) == at(10)
    assert notice.of(at(12), clock.now()) == at(12)


async def test_after_a_rest_everything_is_noticed_at_the_next_look(autojump_clock):
    clock = VirtualClock(START)
    notice = Notice(clock)
    notice.look(clock.now())
    notice.rest()
    await clock.advance(3)
    notice.look(clock.now())
    assert notice.of(at(1), clock.now()) == at(3)


async def test_a_machine_that_slept_in_between_has_noticed_nothing_meanwhile(autojump_clock):
    clock = VirtualClock(START)
    notice = Notice(clock)
    notice.look(clock.now())
    clock.suspend(3600)
    notice.look(clock.now())
    assert notice.of(at(10), clock.now()) == at(3600)

"""What comes next is in hand before it is due."""

from datetime import timedelta

import trio

from alicia_scheduler.api import to_epoch
from alicia_scheduler.api.store import Due
from alicia_scheduler.kernel.agenda import Agenda
from alicia_scheduler.kernel.definitions import sync_origin
from alicia_scheduler.kernel.lookahead import AHEAD
from alicia_scheduler.store.sqlite import SqliteStore
from alicia_scheduler.testing.clock import START, VirtualClock
from alicia_scheduler.testing.kernel import make_event, running_kernel


class AskedStore:
    """A store that remembers when it was asked for which events."""

    def __init__(self, store, clock):
        self._store = store
        self._clock = clock
        self.asked = []

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def records(self, event_ids):
        wanted = list(event_ids)
        self.asked.append((self._clock.elapsed(), len(wanted)))
        return await self._store.records(wanted)


def at(seconds):
    return START + timedelta(seconds=seconds)


def once(number, seconds):
    config = {"epochs": [to_epoch(at(seconds))]}
    return make_event(f"e{number:04}", schedule_type="at", schedule_config=config)


async def asked_for(events):
    """When the store was asked for how many events, by a kernel that finds them stored."""
    async with SqliteStore.open(None) as store:
        async with running_kernel(store=store) as first:
            await sync_origin(first.kernel, "test", events)
        clock = VirtualClock(first.clock.now())
        asked = AskedStore(store, clock)
        async with running_kernel(store=asked, clock=clock) as run:
            await trio.sleep(100)
            assert len(run.ran) == len(events)
        return asked.asked


async def test_an_event_that_comes_due_is_in_hand_by_then(autojump_clock):
    assert await asked_for([once(1, 50)]) == [(0, 1)]


async def test_those_that_are_far_from_the_next_one_stay_in_the_store(autojump_clock):
    assert await asked_for([once(1, 30), once(2, 80)]) == [(0, 1), (30, 1)]


async def test_so_many_are_taken_in_hand_at_once_at_the_most(autojump_clock):
    asked = await asked_for([once(number, 50) for number in range(AHEAD + 10)])
    assert asked[0] == (0, AHEAD)


def test_the_nearest_entries_leave_out_what_has_moved_or_gone():
    agenda = Agenda()
    agenda.begin_refill()
    agenda.end_refill([Due(at(second), f"e{second}") for second in (1, 2, 3, 4)])
    agenda.put(Due(at(30), "e1"))
    agenda.discard("e2")
    assert [due.event_id for due in agenda.nearest(10, at(3))] == ["e3"]
    assert [due.event_id for due in agenda.nearest(10, at(40))] == ["e3", "e4", "e1"]

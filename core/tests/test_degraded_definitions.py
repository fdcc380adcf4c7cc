"""While the store cannot be written, what is in hand is the truth, and not what the store has."""

from __future__ import annotations

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import Retryable, StoreError
from alicia_scheduler.kernel.definitions import save_event, sync_origin
from alicia_scheduler.store import SqliteStore
from alicia_scheduler.testing.kernel import make_event, running_kernel

FULL = StoreError("store here: the disk is full; free some space", transient=True)


class Full:
    """A store in memory whose commits fail while it is ``full``."""

    def __init__(self, store):
        self._store = store
        self.full = False

    def __getattr__(self, name):
        return getattr(self._store, name)

    async def commit(self, changes):
        if self.full:
            raise FULL
        await self._store.commit(changes)

    async def mended(self):
        self.full = False
        await trio.sleep(6)


@pytest.fixture
async def store():
    async with SqliteStore.open(None) as opened:
        yield Full(opened)


async def definitions(store):
    return {record.event.event_id: record.event for record in await store.list_events()}


async def test_an_edit_that_is_taken_back_is_taken_back(store, autojump_clock):
    event = make_event(name="first")
    async with running_kernel(store=store) as k:
        await save_event(k.kernel, event)
        store.full = True
        await save_event(k.kernel, replace(event, name="second"))
        await save_event(k.kernel, event)
        await store.mended()
        stored = (await definitions(store))["event"]
        assert (stored.name, stored.revision) == ("first", 3)


async def test_an_edit_of_an_event_that_the_store_does_not_have_goes_on_with_its_counters(
    store, autojump_clock
):
    event = make_event(name="first")
    async with running_kernel(store=store) as k:
        store.full = True
        await save_event(k.kernel, event)
        await k.clock.advance(15)
        await save_event(k.kernel, replace(event, name="second"))
        assert [len(k.told(word)) for word in ("event_created", "event_updated")] == [1, 1]
        assert k.kernel.catalog.get("event").state.run_count == 1


async def test_an_event_that_the_store_does_not_have_leaves_with_its_file(store, autojump_clock):
    async with running_kernel(store=store) as k:
        store.full = True
        await sync_origin(k.kernel, "test", [make_event()])
        difference = await sync_origin(k.kernel, "test", [])
        assert difference.removed == ["event"]
        await store.mended()
        await k.clock.advance(30)
        assert k.ran == []
        assert await definitions(store) == {}


async def test_an_event_that_was_removed_does_not_come_back_from_the_store(store, autojump_clock):
    async with running_kernel(store=store) as k:
        await save_event(k.kernel, make_event())
        store.full = True
        await sync_origin(k.kernel, "test", [])
        with pytest.raises(KeyError):
            await k.kernel.trigger("event")
        k.clock.step(100_000)
        await k.clock.advance(30)
        assert k.ran == []
        await store.mended()
        assert await definitions(store) == {}


async def test_an_event_that_is_made_again_under_the_same_id_stays(store, autojump_clock):
    async with running_kernel(store=store) as k:
        await save_event(k.kernel, make_event())
        store.full = True
        await sync_origin(k.kernel, "test", [])
        await sync_origin(k.kernel, "test", [make_event(name="again")])
        await store.mended()
        assert (await definitions(store))["event"].name == "again"
        await k.clock.advance(10)
        assert len(k.ran) == 1


async def test_a_clock_that_is_set_forgets_nothing_that_the_store_does_not_have(
    store, autojump_clock
):
    attempts = []

    async def fail(config, execution):
        attempts.append(execution.event_id)
        raise Retryable("not now")

    once = make_event(
        "once",
        action={"type": "fail"},
        schedule_config={"seconds": 1000},
        max_retries=1,
        retry_delay=20.0,
    )
    async with running_kernel(store=store, actions={"fail": fail}) as k:
        await save_event(k.kernel, once)
        store.full = True
        await k.kernel.trigger("once")
        await save_event(k.kernel, make_event())
        await k.clock.advance(1)
        k.clock.step(3600)
        await k.clock.advance(25)
        assert len(k.ran) == 2
        assert attempts == ["once", "once"]

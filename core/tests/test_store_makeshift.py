"""Memory in place of a store that cannot be written: it begins with what the store holds, and all
of it is there when the store can be written again."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from alicia_scheduler.api import EventExecution, EventState, Notification, Status, StoreError
from alicia_scheduler.api.store import (
    DropNotifications,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveNotification,
    SaveState,
)
from alicia_scheduler.store import STORE_FILE, SqliteStore, StateLock, connections, makeshift
from alicia_scheduler.store.history import HistoryRules, HistoryWalk
from alicia_scheduler.store.schema import MIGRATIONS
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
VERSIONS = Path(__file__).parent / "store_versions"


def at(seconds):
    return NOON + timedelta(seconds=seconds)


def execution(number, event_id="lamp", **fields):
    fields.setdefault("status", Status.COMPLETED)
    return EventExecution(
        execution_id=f"r{number}",
        event_id=event_id,
        revision=1,
        scheduled_time=at(number),
        **fields,
    )


def state(seconds, **fields):
    return EventState(next_run=at(seconds), next_due=at(seconds), **fields)


def told(number):
    return Notification(
        event_type="note",
        event_data={"number": number},
        timestamp=at(number),
        source="test",
        sequence=number,
    )


class Place:
    """Where the store is, which can be written or not."""

    def __init__(self, path):
        self.path = path
        self.writable = True
        self.really_open = connections.open_writing

    def open_writing(self, path, synchronous):
        if not self.writable:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return self.really_open(path, synchronous)


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Place(tmp_path / STORE_FILE)
    monkeypatch.setattr(connections, "open_writing", made.open_writing)
    return made


async def begin(place, *changes):
    """Leave a store with an event, its history, facts and kept notifications."""
    async with SqliteStore.open(place.path) as store:
        await store.commit(
            [
                SaveEvent(make_event("lamp"), state(10, run_count=3)),
                SaveExecution(execution(1)),
                SaveExecution(execution(2, status=Status.RUNNING)),
                SaveFact("sequence", 41),
                SaveNotification(told(41)),
                *changes,
            ]
        )
    place.writable = False


async def contents(store):
    """Everything there is, comparably."""
    return (
        {record.event.event_id: record for record in await store.list_events()},
        await store.list_executions(limit=100_000),
        await store.facts(),
        await store.notifications(after=0, limit=100_000),
        await store.next_due(after=None, limit=100_000),
    )


async def reopened(place):
    async with SqliteStore.open(place.path) as store:
        assert store.incidents == []
        return await contents(store)


# -- what it begins with ---------------------------------------------------------------------


async def test_it_begins_with_all_that_the_store_holds(place):
    await begin(place)
    place.writable = True
    before = await reopened(place)
    place.writable = False
    async with SqliteStore.open(place.path) as store:
        assert (store.makeshift, store.durable) == (True, False)
        assert await contents(store) == before
    assert before[0]["lamp"].state.run_count == 3


async def test_it_begins_with_what_a_crash_left_in_the_log(place, tmp_path):
    await begin(place)
    place.writable = True
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(execution(3))])
        for suffix in ("", "-wal"):
            source = Path(f"{place.path}{suffix}")
            (crashed / source.name).write_bytes(source.read_bytes())
    place.writable = False
    async with SqliteStore.open(crashed / STORE_FILE) as store:
        assert (await store.execution("r3")) == execution(3)


async def test_a_store_of_an_older_version_is_brought_up_to_date_in_memory_only(place):
    with closing(sqlite3.connect(place.path)) as connection:
        connection.executescript((VERSIONS / "version-1.sql").read_text())
    before = place.path.read_bytes()
    place.writable = False
    async with SqliteStore.open(place.path) as store:
        assert await store.list_events()
        await store.commit([SaveFact("new", 1)])
    assert place.path.read_bytes() == before


async def test_a_newer_store_is_refused(place):
    await begin(place)
    with closing(sqlite3.connect(place.path)) as connection:
        connection.execute(f"PRAGMA user_version = {MIGRATIONS[-1].version + 1}")
    with pytest.raises(StoreError, match="written by a newer Alicia Scheduler"):
        async with SqliteStore.open(place.path):
            pass


async def test_a_damaged_store_is_not_loaded_and_that_is_told(place, monkeypatch):
    await begin(place)
    with place.path.open("r+b") as file:
        file.truncate(place.path.stat().st_size - 4096)

    def refuse(*_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "rename", refuse)
    async with SqliteStore.open(place.path) as store:
        assert await store.list_events() == []
        (incident,) = store.incidents
    assert "what it held is not loaded" in incident
    assert "damaged" in incident


async def test_of_a_large_store_everything_but_the_history_is_loaded(place, monkeypatch):
    await begin(place)
    monkeypatch.setattr(makeshift, "MEMORY_BYTES", 1000)
    async with SqliteStore.open(place.path) as store:
        events, history, facts, kept, due = await contents(store)
        assert "loaded without its history" in store.incidents[0]
    assert events["lamp"].state.run_count == 3
    assert [run.execution_id for run in history] == ["r2"]
    assert (facts, kept) == ({"sequence": 41}, [told(41)])
    assert [entry.event_id for entry in due] == ["lamp"]


async def test_its_history_is_trimmed_to_what_memory_is_for(place, monkeypatch):
    await begin(place)
    monkeypatch.setattr("alicia_scheduler.store.sqlite.MEMORY_BYTES", 500_000)
    async with SqliteStore.open(place.path) as store:
        runs = [execution(number, result={"text": "x" * 1000}) for number in range(10, 1000)]
        await store.commit([SaveExecution(run) for run in runs])
        deleted = 0
        while bite := await store.trim():
            deleted += bite
        left = await store.list_executions(limit=10_000)
    assert deleted > 300
    assert len(left) == 992 - deleted


# -- the way back ----------------------------------------------------------------------------


async def test_it_cannot_go_back_while_its_place_cannot_be_written_and_goes_on(place):
    await begin(place)
    async with SqliteStore.open(place.path) as store:
        with pytest.raises(StoreError, match="Read-only file system"):
            await store.recover()
        await store.commit([SaveExecution(execution(3))])
        assert store.makeshift
        assert await store.execution("r3") == execution(3)


async def test_all_that_happened_is_there_afterwards(place):
    await begin(place)
    async with SqliteStore.open(place.path) as store:
        await store.commit(
            [
                SaveState("lamp", state(20, run_count=5)),
                SaveExecution(execution(2)),
                SaveExecution(execution(3)),
                SaveExecution(execution(4, status=Status.RUNNING)),
                SaveEvent(make_event("new"), state(5)),
                SaveFact("sequence", 44),
                SaveNotification(told(44)),
            ]
        )
        place.writable = True
        before = await contents(store)
        incident = await store.recover()
        assert (store.makeshift, store.durable) == (False, True)
        assert store.incidents[-1] == incident
        assert "holds what was kept in memory" in incident
        assert await contents(store) == before
        await store.commit([SaveExecution(execution(5))])
    events, history, facts, kept, _ = await reopened(place)
    assert [run.execution_id for run in history] == ["r5", "r4", "r3", "r2", "r1"]
    assert history[3].status is Status.COMPLETED
    assert events["lamp"].state.run_count == 5
    assert set(events) == {"lamp", "new"}
    assert facts["sequence"] == 44
    assert kept == [told(41), told(44)]


async def test_what_was_removed_is_gone_afterwards(place):
    await begin(place, SaveEvent(make_event("old"), state(5)))
    async with SqliteStore.open(place.path) as store:
        await store.commit([RemoveEvent("old"), DropNotifications(41)])
        place.writable = True
        await store.recover()
    events, _, _, kept, due = await reopened(place)
    assert set(events) == {"lamp"}
    assert kept == []
    assert [entry.event_id for entry in due] == ["lamp"]


async def test_an_event_that_was_made_anew_can_use_its_slots_again(place):
    await begin(place)
    again = replace(execution(1), execution_id="again")
    async with SqliteStore.open(place.path) as store:
        await store.commit([RemoveEvent("lamp")])
        await store.commit([SaveEvent(make_event("lamp"), state(1)), SaveExecution(again)])
        place.writable = True
        await store.recover()
        assert await store.execution("again") == again
        assert await store.execution("r1") == execution(1)


async def test_a_long_history_is_carried_over_in_bites_in_its_order(place, monkeypatch):
    await begin(place)
    monkeypatch.setattr(makeshift, "BITE", 7)
    async with SqliteStore.open(place.path) as store:
        for number in range(10, 60):
            status = Status.RUNNING if number % 10 == 0 else Status.COMPLETED
            await store.commit([SaveExecution(execution(number, status=status))])
        before = await contents(store)
        place.writable = True
        await store.recover()
        assert await contents(store) == before


async def test_it_is_used_while_it_goes_back_and_loses_nothing(place, monkeypatch):
    await begin(place)
    monkeypatch.setattr(makeshift, "BITE", 5)
    number = 100
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(execution(number)) for number in range(10, 100)])
        place.writable = True
        async with trio.open_nursery() as nursery:

            async def use():
                nonlocal number
                while True:
                    await store.commit([SaveExecution(execution(number, status=Status.RUNNING))])
                    number += 1
                    await store.commit([SaveExecution(execution(number - 1))])
                    assert await store.execution(f"r{number - 1}") == execution(number - 1)

            nursery.start_soon(use)
            await trio.sleep(0.02)
            await store.recover()
            await trio.sleep(0.02)
            nursery.cancel_scope.cancel()
    _, history, *_ = await reopened(place)
    numbers = [int(run.execution_id[1:]) for run in history]
    assert sorted(numbers)[:2] == [1, 2]
    assert set(range(10, number)) <= set(numbers)
    assert len(numbers) == len(set(numbers))


async def test_an_execution_whose_slot_the_place_has_is_left_out(place, monkeypatch):
    await begin(place)
    monkeypatch.setattr(makeshift, "MEMORY_BYTES", 1000)
    double = replace(execution(1), execution_id="double")
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(double), SaveExecution(execution(3))])
        place.writable = True
        incident = await store.recover()
    _, history, *_ = await reopened(place)
    assert [run.execution_id for run in history] == ["r3", "r2", "r1"]
    assert "1 executions are left out" in incident


async def test_what_could_not_be_loaded_is_kept_and_not_run_over(place):
    await begin(place, SaveEvent(make_event("other"), state(5)))
    place.path.chmod(0o600)
    hidden = place.path.with_name("hidden")
    place.path.rename(hidden)
    async with SqliteStore.open(place.path) as store:
        await store.commit(
            [
                SaveEvent(make_event("lamp"), state(30)),
                SaveExecution(execution(7)),
                SaveFact("sequence", 3),
                SaveNotification(told(3)),
            ]
        )
        hidden.rename(place.path)
        place.writable = True
        await store.recover()
    events, history, facts, kept, _ = await reopened(place)
    assert set(events) == {"lamp", "other"}
    assert events["lamp"].state.next_due == at(30)
    assert [run.execution_id for run in history] == ["r7", "r2", "r1"]
    assert facts == {"sequence": 3, "former sequence": 41}
    assert kept == [told(3), told(41)]


async def test_a_place_that_is_empty_now_gets_everything(place):
    await begin(place)
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(execution(3))])
        before = await contents(store)
        place.path.unlink()
        place.writable = True
        incident = await store.recover()
        assert await contents(store) == before
    assert "there was one, and it is gone" in incident


async def test_a_place_that_turns_out_to_be_damaged_is_begun_anew_with_everything(
    place, monkeypatch
):
    await begin(place)
    async with SqliteStore.open(place.path) as store:
        before = await contents(store)
        place.path.write_text("a shopping list, for instance\n" * 200)
        place.writable = True
        incident = await store.recover()
        assert await contents(store) == before
    assert "It was moved to" in incident


@pytest.mark.parametrize("step", ["bite", "rest"])
async def test_a_way_back_that_fails_half_way_leaves_all_as_it_was(place, monkeypatch, step):
    await begin(place)
    monkeypatch.setattr(makeshift, "BITE", 5)
    full = StoreError("store here: the disk is full", transient=True)
    really = getattr(makeshift.WayBack, step)
    calls = 0

    def fail_once(self):
        nonlocal calls
        calls += 1
        if calls == (4 if step == "bite" else 1):
            raise full
        return really(self)

    monkeypatch.setattr(makeshift.WayBack, step, fail_once)
    async with SqliteStore.open(place.path) as store:
        runs = [SaveExecution(execution(number)) for number in range(10, 60)]
        under_way = SaveExecution(execution(9, status=Status.RUNNING))
        await store.commit([under_way, *runs, SaveState("lamp", state(70))])
        before = await contents(store)
        place.writable = True
        with pytest.raises(StoreError, match="the disk is full"):
            await store.recover()
        assert store.makeshift
        assert await contents(store) == before
        with closing(sqlite3.connect(place.path)) as connection:
            (due,) = connection.execute("SELECT next_due FROM event_states").fetchone()
            ids = {row[0] for row in connection.execute("SELECT execution_id FROM executions")}
        # What is under way goes with its event, or a crash would find it without.
        assert "r10" in ids
        assert "r9" not in ids
        # A crash now finds the event behind its history, never ahead of it.
        assert due == at(10).timestamp()
        await store.recover()
        assert await contents(store) == before


async def test_a_way_back_that_is_cancelled_leaves_all_as_it_was(place, monkeypatch):
    await begin(place)
    monkeypatch.setattr(makeshift, "BITE", 1)
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(execution(number)) for number in range(10, 60)])
        before = await contents(store)
        place.writable = True
        really = makeshift.WayBack.bite
        with trio.CancelScope() as scope:

            def cancel(self):
                trio.from_thread.run_sync(scope.cancel)
                return really(self)

            monkeypatch.setattr(makeshift.WayBack, "bite", cancel)
            await store.recover()
        assert scope.cancelled_caught
        assert store.makeshift
        assert await contents(store) == before
        monkeypatch.setattr(makeshift.WayBack, "bite", really)
        await store.recover()
        assert await contents(store) == before


async def test_trimming_that_began_in_memory_deletes_nothing_of_the_place(place):
    await begin(place)
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(execution(number)) for number in range(10, 30)])
        walk = HistoryWalk(HistoryRules(at(100).timestamp(), None, 0, None))
        store._walk = walk
        found = store._queries.expendable(walk, 500)
        assert found
        place.writable = True
        await store.recover()
        assert store._delete(walk, found) == 0


async def test_a_backup_of_it_can_be_made(place, tmp_path):
    await begin(place)
    async with SqliteStore.open(place.path) as store:
        await store.commit([SaveExecution(execution(3))])
        await store.backup(tmp_path / "copy.db")
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM executions").fetchone() == (3,)


async def test_a_store_that_is_meant_to_be_in_memory_is_no_makeshift():
    async with SqliteStore.open(None) as store:
        assert (store.makeshift, store.durable) == (False, False)


async def test_a_host_that_began_on_a_read_only_disk_is_the_only_one_when_it_can_be_written(
    tmp_path, monkeypatch
):
    really = os.open

    def read_only(path, flags, *more, **options):
        if flags & os.O_CREAT:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return really(path, flags, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", read_only)
        first = StateLock(tmp_path, NOON)
        first.__enter__()
    with pytest.raises(StoreError, match="another host"), StateLock(tmp_path, NOON):
        pass
    first.__exit__(None, None, None)
    with StateLock(tmp_path, NOON):
        pass

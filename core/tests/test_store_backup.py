"""A backup shows one moment of a store in use, and is whole or absent."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta

import pytest
import trio

from alicia_scheduler.api import EventExecution, EventState, StoreError
from alicia_scheduler.api.store import SaveEvent, SaveExecution, SaveState
from alicia_scheduler.store import STORE_FILE, SqliteStore, copies
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def execution(number):
    return EventExecution(
        execution_id=f"r{number}",
        event_id="event",
        revision=1,
        scheduled_time=NOON + timedelta(seconds=number),
        result={"text": "x" * 500},
    )


async def advance(store, number):
    """One commit that says the same thing in two tables."""
    state = EventState(run_count=number)
    await store.commit([SaveExecution(execution(number)), SaveState("event", state)])


async def begin(store, count):
    await store.commit([SaveEvent(make_event(), EventState())])
    await store.commit([SaveExecution(execution(number)) for number in range(1, count)])
    await advance(store, count)


@pytest.mark.parametrize("place", ["file", "memory"])
async def test_a_backup_is_a_store_with_all_that_was_committed(tmp_path, place):
    copy = tmp_path / "copy.db"
    async with SqliteStore.open(tmp_path / STORE_FILE if place == "file" else None) as store:
        await begin(store, 10)
        await store.backup(copy)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    async with SqliteStore.open(copy) as restored:
        assert len(await restored.list_executions()) == 10
        assert (await restored.records(["event"]))["event"].state.run_count == 10
        assert restored.incidents == []


async def test_a_backup_under_load_is_of_one_moment_and_ends(tmp_path):
    copy = tmp_path / "copy.db"
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await begin(store, 5000)
        number = 5000
        async with trio.open_nursery() as nursery:

            async def back_up():
                await store.backup(copy)
                nursery.cancel_scope.cancel()

            nursery.start_soon(back_up)
            while True:
                number += 1
                await advance(store, number)
    async with SqliteStore.open(copy) as restored:
        count = len(await restored.list_executions(limit=100_000))
        assert 5000 <= count <= number
        assert (await restored.records(["event"]))["event"].state.run_count == count


async def test_a_backup_does_not_replace_a_file(tmp_path):
    copy = tmp_path / "copy.db"
    copy.write_text("precious")
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        with pytest.raises(StoreError, match=r"copy\.db exists already"):
            await store.backup(copy)
    assert copy.read_text() == "precious"


async def test_a_backup_that_is_cancelled_on_its_way_leaves_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(copies, "_PAGES_IN_A_STEP", 1)
    directory = tmp_path / "copies"
    directory.mkdir()
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await begin(store, 5000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(store.backup, directory / "copy.db")
            while not (directory / "copy.db.part").exists():
                await trio.lowlevel.checkpoint()
            nursery.cancel_scope.cancel()
        assert nursery.cancel_scope.cancelled_caught
        assert list(directory.iterdir()) == []
        await advance(store, 5001)


async def test_a_backup_into_a_missing_directory_is_told_and_the_store_goes_on(tmp_path):
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await begin(store, 1)
        with pytest.raises(StoreError, match="No such file or directory"):
            await store.backup(tmp_path / "missing" / "copy.db")
        await advance(store, 2)

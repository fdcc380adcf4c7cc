"""A row that cannot be read is left out and told; everything else is read as ever."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest

from alicia_scheduler.api import EventExecution, EventState
from alicia_scheduler.api.store import SaveEvent, SaveExecution
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def at(seconds):
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
async def path(tmp_path):
    """A store with the events a, b, c, due in this order, and an execution of each."""
    path = tmp_path / STORE_FILE
    async with SqliteStore.open(path) as store:
        for place, name in enumerate("abc"):
            execution = EventExecution(
                execution_id=f"run-{name}",
                event_id=name,
                revision=1,
                scheduled_time=at(place),
                result={"place": place},
            )
            due = EventState(next_run=at(place), next_due=at(place))
            await store.commit([SaveEvent(make_event(name), due), SaveExecution(execution)])
    return path


def damage(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute(statement).rowcount == 1
        connection.commit()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET definition = '{' WHERE event_id = 'b'",
        "UPDATE events SET definition = CAST(x'ff00fe' AS TEXT) WHERE event_id = 'b'",
        """UPDATE events SET definition = replace(definition, '"b"', '"x"') WHERE event_id = 'b'""",
        "UPDATE event_states SET last_status = 'asleep' WHERE event_id = 'b'",
        "UPDATE event_states SET next_run = 'noon' WHERE event_id = 'b'",
        "UPDATE event_states SET next_run = 1e300 WHERE event_id = 'b'",
        "DELETE FROM event_states WHERE event_id = 'b'",
    ],
)
async def test_a_damaged_event_is_left_out_and_its_page_is_filled(path, statement):
    damage(path, statement)
    async with SqliteStore.open(path) as store:
        page = await store.list_events(limit=2)
        records = await store.records(["a", "b"])
        (damaged,) = await store.damaged()
    assert [record.event.event_id for record in page] == ["a", "c"]
    assert set(records) == {"a"}
    assert (damaged.kind, damaged.identifier) == ("event", "b")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE executions SET status = 'asleep' WHERE event_id = 'b'",
        "UPDATE executions SET trigger = 'whim' WHERE event_id = 'b'",
        "UPDATE executions SET result = '[1]' WHERE event_id = 'b'",
        "UPDATE executions SET start_time = 'noon' WHERE event_id = 'b'",
        "UPDATE executions SET reason = CAST(x'ff' AS TEXT) WHERE event_id = 'b'",
    ],
)
async def test_a_damaged_execution_is_left_out_and_its_page_is_filled(path, statement):
    damage(path, statement)
    async with SqliteStore.open(path) as store:
        page = await store.list_executions(limit=2)
        assert await store.execution("run-b") is None
        (damaged,) = await store.damaged()
    assert [execution.event_id for execution in page] == ["c", "a"]
    assert (damaged.kind, damaged.identifier) == ("execution", "run-b")


async def test_an_entry_of_what_comes_next_that_is_damaged_does_not_hide_later_ones(path):
    damage(path, "UPDATE event_states SET next_due = -1e300 WHERE event_id = 'b'")
    async with SqliteStore.open(path) as store:
        page = await store.next_due(after=None, limit=2)
        (damaged,) = await store.damaged()
    assert [entry.event_id for entry in page] == ["a", "c"]
    assert (damaged.kind, damaged.identifier) == ("due", "b")


async def test_a_damaged_row_is_logged_once(path, caplog):
    damage(path, "UPDATE events SET definition = '{' WHERE event_id = 'b'")
    async with SqliteStore.open(path) as store:
        for _ in range(3):
            await store.list_events()
    assert sum("event b is damaged" in record.getMessage() for record in caplog.records) == 1


async def test_a_damaged_row_stays_in_the_store(path):
    damage(path, "UPDATE events SET definition = '{' WHERE event_id = 'b'")
    async with SqliteStore.open(path) as store:
        await store.list_events()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT count(*) FROM events").fetchone() == (3,)


async def test_an_event_with_a_damaged_row_can_be_saved_anew(path):
    damage(path, "UPDATE events SET definition = '{' WHERE event_id = 'b'")
    async with SqliteStore.open(path) as store:
        await store.commit([SaveEvent(make_event("b"), EventState())])
        assert len(await store.list_events()) == 3

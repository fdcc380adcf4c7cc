"""One transaction for several callers: the bad ones fail alone, a fault of the disk fails all."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from alicia_scheduler.api import EventExecution, StoreError
from alicia_scheduler.api.store import SaveExecution, SlotTaken
from alicia_scheduler.store import connections
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.rows import operations
from alicia_scheduler.store.schema import prepare
from alicia_scheduler.store.writer import Writer

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def wanted(execution_id, slot=0, **fields):
    execution = EventExecution(
        execution_id=execution_id,
        event_id="event",
        revision=1,
        scheduled_time=NOON + timedelta(seconds=slot),
        **fields,
    )
    return operations([SaveExecution(execution)])


@pytest.fixture
def connection(tmp_path):
    path = tmp_path / "alicia.db"
    opened = connections.open_writing(path, "FULL")
    prepare(opened, path)
    yield opened
    opened.close()


@pytest.fixture
def writer(connection):
    return Writer(connection, "here")


def stored(connection):
    return [run.execution_id for run in Queries(connection, "here").list_executions()][::-1]


def test_all_callers_are_committed(writer, connection):
    assert list(writer.write([wanted("a", 1), wanted("b", 2)])) == [None, None]
    assert stored(connection) == ["a", "b"]


def test_a_caller_who_doubles_a_slot_fails_alone(writer, connection):
    first, second, third = writer.write([wanted("a", 1), wanted("b", 1), wanted("c", 3)])
    assert first is None
    assert isinstance(second, SlotTaken)
    assert third is None
    assert stored(connection) == ["a", "c"]


def test_all_of_a_failing_callers_changes_are_undone(writer, connection):
    doubled = [*wanted("b", 2), *wanted("c", 1)]
    outcomes = writer.write([wanted("a", 1), doubled, wanted("d", 4)])
    assert [type(outcome) for outcome in outcomes] == [type(None), SlotTaken, type(None)]
    assert stored(connection) == ["a", "d"]


def test_a_value_that_cannot_be_stored_fails_its_caller_alone(writer, connection):
    outcomes = writer.write([wanted("a", 1), wanted("b", 2, retry_count=1 << 70)])
    assert outcomes[0] is None
    assert isinstance(outcomes[1], StoreError)
    assert stored(connection) == ["a"]


def test_a_full_disk_fails_every_caller_and_says_so(writer, connection):
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    outcomes = writer.write([wanted(f"r{n}", n, error_message="x" * 5000) for n in range(20)])
    assert {str(outcome) for outcome in outcomes} == {
        "store here: the disk is full; free some space (database or disk is full)"
    }
    assert stored(connection) == []


def test_a_full_disk_met_beside_a_bad_caller_fails_every_caller(writer, connection):
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    large = wanted("large", 3, error_message="x" * 50000)
    outcomes = writer.write([wanted("a", 1), wanted("double", 1), large, wanted("b", 4)])
    assert all("the disk is full" in str(outcome) for outcome in outcomes)
    assert stored(connection) == []


def test_writing_goes_on_when_the_disk_has_room_again(writer, connection):
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages}")
    writer.write([wanted("lost", 1, error_message="x" * 50000)])
    connection.execute("PRAGMA max_page_count = 1000000")
    assert list(writer.write([wanted("kept", 2)])) == [None]
    assert stored(connection) == ["kept"]


def test_a_locked_store_fails_every_caller_and_says_so(writer, connection, tmp_path):
    connection.execute("PRAGMA busy_timeout = 0")
    other = connections.open_writing(tmp_path / "alicia.db", "FULL")
    other.execute("BEGIN IMMEDIATE")
    (outcome,) = writer.write([wanted("a")])
    other.execute("ROLLBACK")
    other.close()
    assert "another program keeps it locked" in str(outcome)
    assert list(writer.write([wanted("a")])) == [None]


def test_a_fault_nobody_foresaw_leaves_no_transaction_behind(writer, connection):
    with pytest.raises(TypeError):
        writer.write([wanted("a", 1), [None]])
    assert not connection.in_transaction
    assert stored(connection) == []

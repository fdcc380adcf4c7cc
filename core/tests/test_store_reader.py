"""Reading from outside: beside a host, without one, and where nothing may be written."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from alicia_scheduler.api import EventExecution, EventState, StoreError
from alicia_scheduler.api.store import SaveEvent, SaveExecution
from alicia_scheduler.store import STORE_FILE, SqliteStore, open_reader
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOBODY = 65534


def execution(number):
    return EventExecution(
        execution_id=f"r{number}",
        event_id="event",
        revision=1,
        scheduled_time=NOON + timedelta(seconds=number),
    )


async def fill(directory):
    async with SqliteStore.open(directory / STORE_FILE) as store:
        await store.commit([SaveEvent(make_event(), EventState()), SaveExecution(execution(1))])


def seen(directory):
    with open_reader(directory) as queries:
        return [run.execution_id for run in queries.list_executions()]


async def test_a_store_is_read_without_a_host(tmp_path):
    await fill(tmp_path)
    with open_reader(tmp_path) as queries:
        assert [record.event.event_id for record in queries.list_events()] == ["event"]
        assert queries.execution("r1") == execution(1)


async def test_a_store_is_read_beside_a_host_and_shows_what_was_committed(tmp_path):
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        for number in range(1, 4):
            await store.commit([SaveExecution(execution(number))])
            assert len(seen(tmp_path)) == number


async def test_an_open_reader_does_not_hold_up_the_host(tmp_path):
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await store.commit([SaveExecution(execution(1))])
        with open_reader(tmp_path) as queries:
            queries.list_executions()
            await store.commit([SaveExecution(execution(2))])
            assert len(queries.list_executions()) == 2


async def test_a_host_can_close_beside_an_open_reader_and_loses_nothing(tmp_path):
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await store.commit([SaveExecution(execution(1))])
        reading = open_reader(tmp_path)
        queries = reading.__enter__()
        queries.list_executions()
    reading.__exit__(None, None, None)
    assert seen(tmp_path) == ["r1"]


async def test_reading_leaves_the_store_as_it_is(tmp_path):
    await fill(tmp_path)
    before = (tmp_path / STORE_FILE).read_bytes()
    seen(tmp_path)
    assert (tmp_path / STORE_FILE).read_bytes() == before


async def test_a_reader_cannot_write(tmp_path):
    await fill(tmp_path)
    with open_reader(tmp_path) as queries, pytest.raises(sqlite3.OperationalError):
        queries._connection.execute("DELETE FROM events")


# -- what can be wrong -----------------------------------------------------------------------


def test_a_missing_directory_is_told(tmp_path):
    with pytest.raises(StoreError, match=r"no state directory .*missing; `alicia run` creates it"):
        seen(tmp_path / "missing")


def test_a_directory_without_a_store_is_told(tmp_path):
    with pytest.raises(StoreError, match=r"no store in .* yet; `alicia run` creates it"):
        seen(tmp_path)


async def test_a_newer_store_is_told(tmp_path):
    await fill(tmp_path)
    with closing(sqlite3.connect(tmp_path / STORE_FILE)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreError, match=r"newer Alicia Scheduler \(schema 99, this one"):
        seen(tmp_path)


def test_a_store_that_is_not_set_up_yet_is_told(tmp_path):
    (tmp_path / STORE_FILE).touch()
    with pytest.raises(StoreError, match="`alicia run` brings it up to date"):
        seen(tmp_path)


def test_a_file_that_is_no_store_is_told(tmp_path):
    (tmp_path / STORE_FILE).write_text("a shopping list, for instance\n" * 200)
    with pytest.raises(StoreError, match="damaged, or is no store"):
        seen(tmp_path)


# -- where nothing may be written ------------------------------------------------------------


@pytest.fixture
def unwritable():
    """A directory that can be made read-only, outside of pytest's own private one."""
    directory = Path(tempfile.mkdtemp())
    directory.chmod(0o755)
    yield directory
    directory.chmod(0o755)
    shutil.rmtree(directory)


@contextmanager
def read_only(directory, files=0o444):
    """Take the right to write from this process, also when it is root's."""
    for file in directory.iterdir():
        file.chmod(files)
    directory.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        assert not os.access(directory, os.W_OK, effective_ids=True)
        yield
    finally:
        if root:
            os.seteuid(0)


def test_a_closed_store_is_read_in_a_read_only_directory(unwritable):
    trio.run(fill, unwritable)
    with read_only(unwritable):
        assert seen(unwritable) == ["r1"]


def test_a_store_with_unmerged_changes_in_a_read_only_directory_is_not_half_read(
    unwritable, tmp_path
):
    async def crashed():
        async with SqliteStore.open(tmp_path / STORE_FILE) as store:
            await store.commit([SaveExecution(execution(1))])
            for name in (STORE_FILE, f"{STORE_FILE}-wal"):
                shutil.copy(tmp_path / name, unwritable)

    trio.run(crashed)
    with (
        read_only(unwritable),
        pytest.raises(StoreError, match="copy the whole directory and read the copy"),
    ):
        seen(unwritable)


def test_a_store_that_may_not_be_read_is_told(unwritable):
    trio.run(fill, unwritable)
    with (
        read_only(unwritable, files=0),
        pytest.raises(StoreError, match="cannot be opened; check the rights"),
    ):
        seen(unwritable)

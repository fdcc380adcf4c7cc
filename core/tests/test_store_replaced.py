"""A damaged or lost store: moved aside as it is, never deleted, begun anew, and told."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alicia_scheduler.api import EventExecution, EventState, Status, StoreError
from alicia_scheduler.api.store import SaveEvent, SaveExecution
from alicia_scheduler.store import STORE_FILE, SqliteStore, opening
from alicia_scheduler.testing.kernel import make_event

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
PAGE = 4096


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state" / STORE_FILE


def execution(number, **fields):
    return EventExecution(
        execution_id=f"r{number}",
        event_id="event",
        revision=1,
        scheduled_time=NOON + timedelta(seconds=number),
        status=Status.COMPLETED,
        **fields,
    )


async def fill(path):
    path.parent.mkdir(exist_ok=True)
    async with SqliteStore.open(path) as store:
        await store.commit([SaveEvent(make_event("event"), EventState())])
        runs = [execution(number, result={"text": "x" * 200}) for number in range(300)]
        await store.commit([SaveExecution(run) for run in runs])


def files(directory):
    return {file.name: file.read_bytes() for file in directory.iterdir() if file.is_file()}


def patch(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def truncate(path, size):
    with path.open("r+b") as file:
        file.truncate(size)


def on(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA writable_schema = ON")
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def replace_by_directory(path):
    path.unlink()
    path.mkdir()
    (path / "inside").write_text("kept")


def root_page(path, name):
    with closing(sqlite3.connect(path)) as connection:
        query = "SELECT rootpage FROM sqlite_master WHERE name = ?"
        return (connection.execute(query, (name,)).fetchone()[0] - 1) * PAGE


DAMAGES = {
    "truncated in the header": lambda path: truncate(path, 60),
    "truncated behind the header": lambda path: truncate(path, 100),
    "truncated in the first page": lambda path: truncate(path, 2000),
    "truncated behind the first page": lambda path: truncate(path, PAGE),
    "truncated in the middle": lambda path: truncate(path, path.stat().st_size // 2),
    "truncated in the middle of a page": lambda path: truncate(path, 5 * PAGE + 100),
    "the last page is missing": lambda path: truncate(path, path.stat().st_size - PAGE),
    "the first bytes are flipped": lambda path: patch(path, 0, b"\xac\xae\x93\x96"),
    "the page size is nonsense": lambda path: patch(path, 16, b"\x00\x07"),
    "the application id is wrong": lambda path: patch(path, 68, b"\xff\xff\xff\xff"),
    "the first page is zeros": lambda path: patch(path, 0, bytes(PAGE)),
    "the schema page is noise": lambda path: patch(path, 100, b"\xfe\xc3\x28" * 1200),
    "the page of executions is noise": lambda path: patch(
        path, root_page(path, "executions"), b"\x5a" * PAGE
    ),
    "the page of events is zeros": lambda path: patch(path, root_page(path, "events"), bytes(PAGE)),
    "an index is noise": lambda path: patch(
        path, root_page(path, "executions_by_slot"), b"\xa5" * PAGE
    ),
    "the file is zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "the file is a text": lambda path: path.write_text("a shopping list, for instance\n" * 200),
    "the file is a short text": lambda path: path.write_text("milk\n"),
    "a table is missing": lambda path: on(path, "DROP TABLE executions"),
    "the schema is no SQL": lambda path: on(
        path, "UPDATE sqlite_master SET sql = 'CREATE nonsense' WHERE name = 'events'"
    ),
    "the schema is no text": lambda path: on(
        path, "UPDATE sqlite_master SET sql = CAST(x'435245ff80fe' AS TEXT) WHERE name = 'events'"
    ),
    "a directory is in its place": replace_by_directory,
}


@pytest.mark.parametrize("name", DAMAGES)
async def test_a_damaged_store_is_moved_aside_and_a_new_one_begun(path, name):
    await fill(path)
    DAMAGES[name](path)
    before = files(path) if path.is_dir() else {"": path.read_bytes()}
    async with SqliteStore.open(path) as store:
        assert await store.list_events() == []
        await store.commit([SaveExecution(execution(1))])
        (incident,) = store.incidents
    (aside,) = path.parent.glob(f"{STORE_FILE}.damaged-*Z")
    after = files(aside) if aside.is_dir() else {"": aside.read_bytes()}
    assert after == before
    assert incident.startswith(f"store {path}: ")
    assert f"It was moved to {aside.name} and a new store was begun" in incident
    async with SqliteStore.open(path) as store:
        assert store.incidents == []
        assert [run.execution_id for run in await store.list_executions()] == ["r1"]


async def crash(path):
    """Leave a store and its log as a kill does."""
    await fill(path)
    crashed = path.parent.parent / "crashed"
    crashed.mkdir()
    async with SqliteStore.open(path) as store:
        for number in range(300, 310):
            await store.commit([SaveExecution(execution(number))])
        for file in (path, Path(f"{path}-wal")):
            (crashed / file.name).write_bytes(file.read_bytes())
    return crashed / STORE_FILE


async def test_the_log_of_a_damaged_store_is_moved_aside_with_it(path):
    path = await crash(path)
    path.write_text("a shopping list, for instance\n" * 200)
    log = Path(f"{path}-wal")
    before = (path.read_bytes(), log.read_bytes())
    async with SqliteStore.open(path) as store:
        assert len(store.incidents) == 1
        assert await store.list_executions() == []
    (aside,) = (file for file in path.parent.glob("*.damaged-*Z"))
    assert (aside.read_bytes(), Path(f"{aside}-wal").read_bytes()) == before


async def test_half_a_log_is_what_a_power_cut_leaves_and_no_damage(path):
    path = await crash(path)
    log = Path(f"{path}-wal")
    truncate(log, log.stat().st_size // 2)
    async with SqliteStore.open(path) as store:
        assert store.incidents == []
        kept = [run.execution_id for run in await store.list_executions(limit=1000)]
    assert 300 <= len(kept) < 310
    assert kept == [f"r{number}" for number in reversed(range(len(kept)))]


async def test_a_log_without_its_store_is_moved_aside(path):
    path = await crash(path)
    log = Path(f"{path}-wal")
    before = log.read_bytes()
    path.unlink()
    async with SqliteStore.open(path) as store:
        (incident,) = store.incidents
    assert "is gone, but for its latest changes" in incident
    (aside,) = path.parent.glob("*.damaged-*-wal")
    assert aside.read_bytes() == before


async def test_a_store_that_is_gone_is_told_once(path):
    await fill(path)
    path.unlink()
    async with SqliteStore.open(path) as store:
        assert store.incidents == [
            f"store {path}: there was one, and it is gone; a new store was begun"
        ]
    async with SqliteStore.open(path) as store:
        assert store.incidents == []


async def test_a_store_that_became_empty_is_told(path):
    await fill(path)
    truncate(path, 0)
    async with SqliteStore.open(path) as store:
        (incident,) = store.incidents
    assert "there was one, and it is empty now" in incident


async def test_a_first_store_is_no_incident(path, caplog):
    path.parent.mkdir()
    async with SqliteStore.open(path) as store:
        assert (store.incidents, store.durable) == ([], True)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_two_damages_within_a_second_are_both_kept(path):
    for text in ("milk\n", "bread\n"):
        await fill(path)
        path.write_text(text)
        async with SqliteStore.open(path):
            pass
    kept = [aside.read_text() for aside in path.parent.glob("*.damaged-*")]
    assert sorted(text for text in kept if text) == ["bread\n", "milk\n"]


# -- found while it runs ---------------------------------------------------------------------


@pytest.fixture
async def rotten(path, monkeypatch):
    """An open store, too large to be checked at the start, whose executions are damaged."""
    await fill(path)
    patch(path, root_page(path, "executions"), b"\x5a" * PAGE)
    monkeypatch.setattr(opening, "CHECKED_BYTES", 0)
    async with SqliteStore.open(path) as store:
        assert store.incidents == []
        yield store


async def test_damage_met_by_a_read_is_told_apart(rotten):
    with pytest.raises(StoreError, match="the file is damaged") as caught:
        await rotten.list_executions()
    assert (caught.value.damaged, caught.value.transient) == (True, False)


async def test_damage_met_by_a_commit_is_told_apart(rotten):
    with pytest.raises(StoreError, match="the file is damaged") as caught:
        await rotten.commit([SaveExecution(execution(1))])
    assert (caught.value.damaged, caught.value.transient) == (True, False)


async def test_a_store_damaged_while_it_runs_goes_on_as_a_new_one(rotten, path):
    with pytest.raises(StoreError):
        await rotten.list_executions()
    before = path.read_bytes()
    incident = await rotten.recover()
    await rotten.commit([SaveExecution(execution(1))])
    assert [run.execution_id for run in await rotten.list_executions()] == ["r1"]
    (aside,) = path.parent.glob("*.damaged-*Z")
    assert aside.read_bytes() == before
    assert aside.name in incident
    assert rotten.incidents == [incident]


async def test_what_is_committed_after_recovering_is_kept(path):
    await fill(path)
    async with SqliteStore.open(path) as store:
        await store.recover()
        await store.commit([SaveExecution(execution(1))])
    async with SqliteStore.open(path) as store:
        assert store.incidents == []
        assert [run.execution_id for run in await store.list_executions()] == ["r1"]


async def test_a_store_in_memory_recovers_as_an_empty_one():
    async with SqliteStore.open(None) as store:
        await store.commit([SaveExecution(execution(1))])
        await store.recover()
        assert await store.list_executions() == []
        await store.commit([SaveExecution(execution(1))])

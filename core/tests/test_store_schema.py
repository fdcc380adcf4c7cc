"""Versions of the store: made new, brought forward with a copy kept, or left alone."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from alicia_scheduler.api import Status, Step, StoreError, Trigger
from alicia_scheduler.api.store import Due, SaveExecution, SaveFact, SaveState
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.store.connections import open_writing
from alicia_scheduler.store.opening import SENTINEL_SUFFIX
from alicia_scheduler.store.schema import MIGRATIONS, Migration, prepare

VERSIONS = Path(__file__).parent / "store_versions"

NOON = datetime(2026, 1, 8, 12, tzinfo=UTC)
NEXT = MIGRATIONS[-1].version + 1


@pytest.fixture
def path(tmp_path):
    return tmp_path / STORE_FILE


async def fresh(path):
    async with SqliteStore.open(path):
        pass


def on(path, statement):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(statement)
        connection.commit()


def schema_of(connection):
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql NOT NULL")
    text = [(str(name), " ".join(str(sql).split())) for name, sql in rows]
    return sorted(row for row in text if not row[0].startswith("sqlite_"))


async def test_a_new_store_is_for_its_owner_alone(path):
    async with SqliteStore.open(path):
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    suffixes = ("", "-wal", "-shm", SENTINEL_SUFFIX)
    assert modes == {f"{STORE_FILE}{suffix}": 0o600 for suffix in suffixes}


async def test_a_new_store_is_set_up_for_power_cuts_and_a_small_disk(path):
    with closing(open_writing(path, "FULL")) as connection:
        prepare(connection, path)
        settings = {
            name: connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("journal_mode", "synchronous", "auto_vacuum")
        }
    assert settings == {"journal_mode": b"wal", "synchronous": 2, "auto_vacuum": 2}


async def test_a_store_that_was_closed_is_one_file_with_its_sentinel(path):
    await fresh(path)
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == [STORE_FILE, f"{STORE_FILE}{SENTINEL_SUFFIX}"]


async def test_a_newer_store_is_refused_and_left_as_it_is(path):
    await fresh(path)
    on(path, f"PRAGMA user_version = {NEXT}")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="written by a newer Alicia Scheduler"):
        await fresh(path)
    assert path.read_bytes() == before


async def test_a_newer_store_is_left_as_it_is_with_changes_still_in_its_log(path, tmp_path):
    await fresh(path)
    log = f"{STORE_FILE}-wal"
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {NEXT}")
        for name in (STORE_FILE, log):
            (crashed / name).write_bytes((tmp_path / name).read_bytes())
    before = {name: (crashed / name).read_bytes() for name in (STORE_FILE, log)}
    with pytest.raises(StoreError, match="written by a newer Alicia Scheduler"):
        await fresh(crashed / STORE_FILE)
    assert {name: (crashed / name).read_bytes() for name in before} == before


async def test_the_database_of_another_program_is_refused_and_left_as_it_is(path):
    on(path, "CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="another program"):
        await fresh(path)
    assert path.read_bytes() == before


async def test_a_directory_that_is_missing_is_a_store_error(tmp_path):
    with pytest.raises(StoreError, match="No such file or directory"):
        await fresh(tmp_path / "missing" / STORE_FILE)


# -- migration -------------------------------------------------------------------------------

MOOD = Migration(NEXT, ("ALTER TABLE executions ADD COLUMN mood TEXT DEFAULT 'calm'",))
BROKEN = Migration(NEXT + 1, ("CREATE TABLE half (a)", "CREATE TABLE half (a)"))


def load_version_1(path):
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((VERSIONS / "version-1.sql").read_text())


async def test_a_store_of_version_1_is_read_with_all_it_holds(path):
    load_version_1(path)
    async with SqliteStore.open(path) as store:
        (record,) = await store.list_events()
        (failed, done) = await store.list_executions()
        upcoming = await store.next_due(after=None, limit=10)
    assert record.event.event_id == "morning-lights"
    assert record.event.schedule_config == {"expression": "30 6 * * mon-fri"}
    assert record.event.created_at == datetime(2026, 1, 1, 8, 0, 0, 250001, tzinfo=UTC)
    assert record.state.run_count == 1
    slot = datetime(2026, 1, 5, 5, 30, tzinfo=UTC)
    assert (done.scheduled_time, done.status, done.trigger) == (
        slot,
        Status.COMPLETED,
        Trigger.SCHEDULE,
    )
    assert done.result == {"topic": "home/kitchen/light/set"}
    assert failed.next_attempt_at == datetime(2026, 1, 6, 5, 31, 0, 500000, tzinfo=UTC)
    assert upcoming == [
        Due(failed.next_attempt_at, "morning-lights", failed.execution_id),
        Due(datetime(2026, 1, 7, 5, 30, tzinfo=UTC), "morning-lights"),
    ]


async def test_a_store_of_version_1_gets_what_version_2_added(path):
    load_version_1(path)
    async with SqliteStore.open(path) as store:
        (record,) = await store.list_events()
        (failed, _) = await store.list_executions()
        assert (record.state.failures_in_row, record.state.skip_slots) == (0, ())
        assert (failed.due_time, failed.error_class, failed.steps) == (None, None, ())
        assert await store.facts() == {}
        slots = (failed.scheduled_time, failed.next_attempt_at)
        state = replace(record.state, failures_in_row=2, paused_until=NOON, skip_slots=slots)
        execution = replace(failed, error_class="Timeout", steps=(Step("due", 0.0),))
        changes = [SaveState("morning-lights", state), SaveExecution(execution)]
        await store.commit([*changes, SaveFact("sequence", 7)])
    async with SqliteStore.open(path) as store:
        assert (await store.list_events())[0].state == state
        assert await store.execution(failed.execution_id) == execution
        assert await store.facts() == {"sequence": 7}


async def test_a_copy_of_a_store_of_version_1_is_kept_when_it_is_opened(path):
    load_version_1(path)
    await fresh(path)
    with closing(sqlite3.connect(f"{path}.version-1")) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)


def test_version_1_has_not_changed_since_it_was_released(tmp_path):
    load_version_1(tmp_path / "fixture.db")
    with closing(open_writing(tmp_path / "made.db", "FULL")) as made:
        prepare(made, tmp_path / "made.db", MIGRATIONS[:1])
        made.text_factory = str
        with closing(sqlite3.connect(tmp_path / "fixture.db")) as fixture:
            assert schema_of(made) == schema_of(fixture)


def test_an_older_store_is_brought_forward_with_its_rows(path):
    load_version_1(path)
    with closing(open_writing(path, "FULL")) as connection:
        prepare(connection, path, (*MIGRATIONS, MOOD))
        moods = connection.execute("SELECT mood FROM executions").fetchall()
        version = connection.execute("PRAGMA user_version").fetchone()[0]
    assert moods == [(b"calm",), (b"calm",)]
    assert version == NEXT


def test_a_copy_of_the_older_store_is_kept_beside_it(path):
    load_version_1(path)
    with closing(open_writing(path, "FULL")) as connection:
        prepare(connection, path, (*MIGRATIONS, MOOD))
    copy = path.with_name(f"{STORE_FILE}.version-1")
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(copy)) as kept:
        assert kept.execute("PRAGMA user_version").fetchone() == (1,)
        assert kept.execute("SELECT count(*) FROM executions").fetchone() == (2,)


def test_a_migration_that_fails_leaves_the_older_store(path):
    load_version_1(path)
    with closing(open_writing(path, "FULL")) as connection:
        before = schema_of(connection)
        with pytest.raises(sqlite3.Error, match="half already exists"):
            prepare(connection, path, (*MIGRATIONS, MOOD, BROKEN))
        assert schema_of(connection) == before
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1


def test_a_store_of_this_version_is_not_copied(path):
    with closing(open_writing(path, "FULL")) as connection:
        prepare(connection, path)
        prepare(connection, path)
    assert not list(path.parent.glob("*version*"))

"""The tables, and how a store of an older version becomes one of this version.

The version is ``PRAGMA user_version``; ``application_id`` says whose file it is. A migration is
added at the end of :data:`MIGRATIONS` and never changed once released. Adding a field with a
default to :class:`ScheduledEvent` needs no migration, since definitions are JSON; taking one away
or renaming one does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.store.copies import keep_copy

__all__ = [
    "APPLICATION_ID",
    "MIGRATIONS",
    "STORE_FILE",
    "Migration",
    "check_version",
    "prepare",
]

STORE_FILE = "alicia.db"
"""Name of the store in the state directory."""

APPLICATION_ID = 0x416C6963
"""``Alic``, in the file's header, where ``file(1)`` and SQLite look."""

_OURS = frozenset((b"events", b"event_states", b"executions"))
"""The tables that a store of any version has."""


@dataclass(frozen=True)
class Migration:
    """The step to ``version`` from the one before it."""

    version: int
    statements: tuple[str, ...]


_FIRST = Migration(
    1,
    (
        # The definition is the truth; origin repeats what a query has to find.
        """
        CREATE TABLE events (
            event_id   TEXT PRIMARY KEY,
            origin     TEXT NOT NULL,
            definition TEXT NOT NULL
        )
        """,
        "CREATE INDEX events_by_origin ON events (origin, event_id)",
        # The state changes with each run and the definition hardly ever. Apart from it, the rows
        # of thirty events share a page, and a burst of runs writes a tenth of the bytes.
        """
        CREATE TABLE event_states (
            event_id      TEXT PRIMARY KEY,
            enabled       INTEGER NOT NULL,
            next_due      REAL,
            next_run      REAL,
            anchor        REAL,
            slot_count    INTEGER NOT NULL,
            last_run      REAL,
            last_status   TEXT NOT NULL,
            run_count     INTEGER NOT NULL,
            success_count INTEGER NOT NULL,
            failure_count INTEGER NOT NULL
        ) WITHOUT ROWID
        """,
        """
        CREATE INDEX event_states_due ON event_states (next_due, event_id)
        WHERE next_due IS NOT NULL AND enabled
        """,
        # claim is 1 for the execution that a slot led to by itself and NULL for manual triggers,
        # re-runs and executions of removed events. NULLs are distinct in a unique index, so the
        # one index serves the history of an event and refuses to run a slot twice.
        """
        CREATE TABLE executions (
            sequence        INTEGER PRIMARY KEY,
            execution_id    TEXT NOT NULL UNIQUE,
            event_id        TEXT NOT NULL,
            revision        INTEGER NOT NULL,
            scheduled_time  REAL NOT NULL,
            claim           INTEGER,
            status          TEXT NOT NULL,
            trigger         TEXT NOT NULL,
            start_time      REAL,
            end_time        REAL,
            retry_count     INTEGER NOT NULL,
            reason          TEXT,
            next_attempt_at REAL,
            error_message   TEXT,
            result          TEXT
        )
        """,
        """
        CREATE UNIQUE INDEX executions_by_event
        ON executions (event_id, scheduled_time, claim)
        """,
        "CREATE INDEX executions_by_slot ON executions (scheduled_time)",
        """
        CREATE INDEX executions_unfinished ON executions (scheduled_time)
        WHERE status IN ('pending', 'running')
        """,
        """
        CREATE INDEX executions_troubled ON executions (scheduled_time)
        WHERE status NOT IN ('pending', 'running', 'completed')
        """,
        """
        CREATE INDEX executions_waiting ON executions (next_attempt_at, event_id, execution_id)
        WHERE next_attempt_at IS NOT NULL AND status = 'pending'
        """,
    ),
)

_SECOND = Migration(
    2,
    (
        # skip_slots is a JSON list of epoch seconds, steps one of [name, offset]; NULL when empty.
        "ALTER TABLE event_states ADD COLUMN paused_until REAL",
        "ALTER TABLE event_states ADD COLUMN paused_reason TEXT",
        "ALTER TABLE event_states ADD COLUMN skip_slots TEXT",
        "ALTER TABLE event_states ADD COLUMN failures_in_row INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE executions ADD COLUMN due_time REAL",
        "ALTER TABLE executions ADD COLUMN error_class TEXT",
        "ALTER TABLE executions ADD COLUMN steps TEXT",
        # The newest of one outcome of an event: its failures in a listing, what trimming keeps.
        """
        CREATE INDEX executions_by_outcome ON executions (event_id, status, scheduled_time)
        WHERE status NOT IN ('pending', 'running')
        """,
        "CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    ),
)

_THIRD = Migration(
    3,
    (
        # What durable sinks have still to write; empty on a host without one.
        "CREATE TABLE notifications (sequence INTEGER PRIMARY KEY, body TEXT NOT NULL)",
        "ALTER TABLE executions ADD COLUMN retry_of TEXT",
        "ALTER TABLE executions ADD COLUMN parent_id TEXT",
        "ALTER TABLE executions ADD COLUMN useful_until REAL",
        "ALTER TABLE event_states ADD COLUMN failing_since REAL",
    ),
)

MIGRATIONS: tuple[Migration, ...] = (_FIRST, _SECOND, _THIRD)
"""Every step there has ever been, oldest first."""


def check_version(
    connection: sqlite3.Connection, place: str, migrations: Sequence[Migration] = MIGRATIONS
) -> int:
    """The version of the store, having read it only; 0 for an empty file.

    Raises:
        StoreError: the file is another program's, or of a newer version.
    """
    version = _pragma(connection, "user_version")
    owner = _pragma(connection, "application_id")
    if owner != APPLICATION_ID:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        if tables >= _OURS:
            raise StoreError(f"store {place}: the file is damaged in its header", damaged=True)
        if owner or version or tables:
            raise StoreError(
                f"{place} is a database of another program; give this host its own state_dir"
            )
        return 0
    _require_tables(connection, place)
    latest = migrations[-1].version
    if version > latest:
        raise StoreError(
            f"store {place} was written by a newer Alicia Scheduler (schema {version}, this one "
            f"knows {latest}); it was left untouched: install that version again, or choose "
            "another state_dir"
        )
    return version


def prepare(
    connection: sqlite3.Connection,
    path: Path | None,
    migrations: Sequence[Migration] = MIGRATIONS,
) -> None:
    """Bring the store to the latest version, in one transaction; a copy of an older one is kept.

    The copy is a file beside the store, ``alicia.db.version-1`` for version 1.

    Raises:
        StoreError: as :func:`check_version`.
        sqlite3.Error: a step failed; the store is as it was.
        OSError: the copy could not be written.
    """
    version = check_version(connection, str(path or "in memory"), migrations)
    steps = [step for step in migrations if step.version > version]
    if not steps:
        return
    if version and path is not None:
        keep_copy(connection, path.with_name(f"{path.name}.version-{version}"))
    connection.execute("BEGIN IMMEDIATE")
    try:
        for step in steps:
            for statement in step.statements:
                connection.execute(cleandoc(statement))
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {steps[-1].version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _require_tables(connection: sqlite3.Connection, place: str) -> None:
    there = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
    if missing := _OURS - there:
        names = b", ".join(sorted(missing)).decode()
        raise StoreError(f"store {place}: the file is damaged: it lacks {names}", damaged=True)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])

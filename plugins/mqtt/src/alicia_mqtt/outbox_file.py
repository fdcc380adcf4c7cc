"""The outbox on disk: what waits for the broker outlives the process. Blocks; runs in threads."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from alicia_scheduler.api import MqttOutgoing

__all__ = ["OUTBOX_FILE", "Loaded", "OutboxFile", "StoredOutcome", "StoredRow"]

OUTBOX_FILE = "mqtt-outbox.db"
"""Name of the file in the host's directory."""

APPLICATION_ID = 0x416C694F
"""``AliO``, in the file's header, where ``file(1)`` and SQLite look."""

VERSION = 1

OUTCOMES = 5000
"""So many of the last outcomes are kept."""

SCHEMA = (
    """
    CREATE TABLE waiting (
        key     TEXT PRIMARY KEY,
        number  INTEGER NOT NULL,
        lane    TEXT NOT NULL,
        slot    REAL NOT NULL,
        added   REAL NOT NULL,
        expires REAL NOT NULL,
        sends   INTEGER NOT NULL,
        losses  INTEGER NOT NULL,
        message BLOB NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE TABLE outcomes (number INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, outcome TEXT)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(MqttOutgoing).decode


class StoredRow(NamedTuple):
    """A message that waits; the instants are epoch seconds."""

    key: str
    number: int
    lane: str
    slot: float
    added: float
    expires: float
    sends: int
    losses: int
    message: MqttOutgoing


class StoredOutcome(NamedTuple):
    """What became of a message that had waited on disk."""

    key: str
    outcome: str


class Loaded(NamedTuple):
    """What a file held: what waits, in order of arrival, and the last outcomes, oldest first;
    ``note`` is what there is to tell."""

    rows: list[StoredRow]
    outcomes: list[StoredOutcome]
    note: str | None = None


class OutboxFile:
    """A SQLite file of its own, so that neither the host's store nor this can hold up the other.

    Each :meth:`write` is one transaction, flushed to the disk (``synchronous = FULL``).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connection: sqlite3.Connection | None = None

    def open(self) -> Loaded:
        """Open or create the file, and read it. One that is damaged, or of another version, is
        moved aside, never deleted.

        Raises:
            OSError, sqlite3.OperationalError: there can be no file there.
        """
        try:
            self._connection = self._opened()
            return _load(self._connection)
        except (sqlite3.DatabaseError, msgspec.MsgspecError, ValueError, TypeError) as error:
            # ValueError: names in a damaged schema that are no text, before SQLite has found it.
            self.close()
            if _is_the_disk(error):
                raise
            aside = self._move_aside()
            self._connection = self._opened()
            note = f"{self.path} was unusable ({error}); it was moved to {aside.name}"
            return Loaded([], [], note)

    def write(
        self,
        kept: Iterable[StoredRow],
        removed: Iterable[str],
        outcomes: Iterable[StoredOutcome],
    ) -> None:
        """Make it durable that these wait, those wait no longer, and what became of some.

        Raises:
            sqlite3.Error: it could not be written; the file is as it was.
        """
        if self._connection is None:
            raise sqlite3.ProgrammingError("the outbox's file is not open")
        with self._connection as transaction:
            # In this order: a key may be gone and be there anew.
            transaction.executemany(
                "DELETE FROM waiting WHERE key = ?", [(key,) for key in removed]
            )
            transaction.executemany(
                "INSERT OR REPLACE INTO waiting VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [(*row[:-1], _encode(row.message)) for row in kept],
            )
            told = list(outcomes)
            if told:
                transaction.executemany(
                    "INSERT OR REPLACE INTO outcomes (key, outcome) VALUES (?, ?)", told
                )
                transaction.execute(
                    "DELETE FROM outcomes WHERE number <= (SELECT max(number) FROM outcomes) - ?",
                    (OUTCOMES,),
                )

    def close(self) -> None:
        """Close the file; no effect when it is not open."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _opened(self) -> sqlite3.Connection:
        # Before SQLite sees it: a message may hold what is not for everybody.
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        # One thread at a time, never twice the same.
        connection = sqlite3.connect(self.path, check_same_thread=False, timeout=5.0)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA secure_delete = ON")
            connection.execute("PRAGMA journal_size_limit = 1048576")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            (owner,) = connection.execute("PRAGMA application_id").fetchone()
            if not version and not owner:
                with connection:
                    connection.execute("BEGIN")
                    for statement in SCHEMA:
                        connection.execute(statement)
            elif (owner, version) != (APPLICATION_ID, VERSION):
                raise sqlite3.DatabaseError("it is another program's, or another version's")
            (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if verdict != "ok":
                raise sqlite3.DatabaseError(str(verdict))
        except BaseException:
            connection.close()
            raise
        return connection

    def _move_aside(self) -> Path:
        number = 1
        while (aside := self.path.with_name(f"{self.path.name}.damaged-{number}")).exists():
            number += 1
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        return aside


def _load(connection: sqlite3.Connection) -> Loaded:
    rows = connection.execute(
        "SELECT key, number, lane, slot, added, expires, sends, losses, message"
        " FROM waiting ORDER BY number"
    )
    outcomes = connection.execute("SELECT key, outcome FROM outcomes ORDER BY number")
    return Loaded(
        [msgspec.convert([*row[:-1], _decode(row[-1])], StoredRow) for row in rows],
        [msgspec.convert(outcome, StoredOutcome) for outcome in outcomes],
    )


def _is_the_disk(error: Exception) -> bool:
    """Whether it is the disk or its rights, and not what the file holds: that has SQLite's general
    error code, or none where Python could not read a text."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return isinstance(error, sqlite3.OperationalError) and code != sqlite3.SQLITE_ERROR

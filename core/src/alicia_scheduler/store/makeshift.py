"""A store in memory that stands in for a file which cannot be written, and its way back.

Memory begins with what the file holds, as far as that can be read. When the file can be written
again, what memory holds is compared with it and carried over: the history in bites between which
the store is used as ever, everything else in one last transaction. So a crash in between leaves a
file that knows executions of slots which its events have still ahead, and refuses to run those
twice; it never leaves an event that is ahead of its history.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import msgspec

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.store import FORMER
from alicia_scheduler.store import connections
from alicia_scheduler.store.connections import Synchronous
from alicia_scheduler.store.faults import explained
from alicia_scheduler.store.schema import MIGRATIONS, check_version, prepare

__all__ = ["MEMORY_BYTES", "WayBack", "stand_in"]

MEMORY_BYTES = 64 * 1024 * 1024
"""A larger store is loaded without its history, and in memory the history stays below this."""

BITE = 1000
"""Executions that are carried over in one transaction."""

_KEYS = {"events": "event_id", "facts": "name", "notifications": "sequence"}

_FINAL = "status NOT IN ('pending', 'running')"


def stand_in(path: Path) -> tuple[sqlite3.Connection, str]:
    """Memory in place of the store at ``path``, and what of it could be loaded, for people.

    Raises:
        StoreError: the store is of a newer version, or another program's.
    """
    memory = connections.open_memory()
    try:
        with explained(str(path)):
            said = _load(path, memory)
    except StoreError as error:
        memory.close()
        if error.__cause__ is None and not error.damaged:
            raise
        memory = connections.open_memory()
        said = f"what it held is not loaded ({error})"
    prepare(memory, None)
    for table, key in _KEYS.items():
        # Of what the file has, only what was known here may be taken away from it again.
        memory.execute(f"CREATE TEMP TABLE loaded_{table} ({key} PRIMARY KEY) WITHOUT ROWID")
        memory.execute(f"INSERT INTO loaded_{table} SELECT {key} FROM main.{table}")  # noqa: S608
    return memory, said


def _load(path: Path, memory: sqlite3.Connection) -> str:
    log = Path(f"{path}-wal")
    changes = log.stat().st_size if log.exists() else 0
    size = (path.stat().st_size if path.exists() else 0) + changes
    if not size:
        return "there was nothing to load"
    # Without changes in the log the file is the whole truth, and is read without -wal and -shm,
    # which cannot be made here.
    immutable = not changes
    with closing(connections.open_reading(path, immutable=immutable)) as file:
        current = check_version(file, str(path)) == MIGRATIONS[-1].version
        if size <= MEMORY_BYTES:
            file.backup(memory)
    if size > MEMORY_BYTES:
        if not current:
            return f"what it held is not loaded: it has {size:,} bytes and is of an older version"
        _load_without_history(path, memory, immutable=immutable)
        return f"it has {size:,} bytes and is loaded without its history"
    problem = memory.execute("PRAGMA quick_check(1)").fetchone()[0]
    if problem != b"ok":
        raise StoreError(f"store {path}: the file is damaged", damaged=True)
    return "what it held is loaded"


def _load_without_history(path: Path, memory: sqlite3.Connection, *, immutable: bool) -> None:
    prepare(memory, None)
    connections.attach(memory, path, "mode=ro&immutable=1" if immutable else "mode=ro")
    try:
        memory.execute("BEGIN")
        for table in ("events", "event_states", "facts", "notifications"):
            memory.execute(f"INSERT INTO main.{table} SELECT * FROM place.{table}")  # noqa: S608
        memory.execute(
            f"INSERT INTO main.executions SELECT * FROM place.executions WHERE NOT ({_FINAL})"  # noqa: S608
        )
        memory.execute("COMMIT")
    finally:
        if memory.in_transaction:
            memory.execute("ROLLBACK")
        memory.execute("DETACH place")


class WayBack:
    """Carries what ``memory`` holds over to the file at ``path``, which is open and up to date.

    Blocking; whoever calls it sees to it that nobody uses ``memory`` meanwhile.

    Attributes:
        left_out: executions whose slot the file knows to have run already.
    """

    def __init__(self, memory: sqlite3.Connection, path: Path, synchronous: Synchronous) -> None:
        self.left_out = 0
        self._memory = memory
        self._place = str(path)
        self._walked = 0
        self._skipped: list[int] = []
        with explained(self._place):
            connections.attach(memory, path, "mode=rw", synchronous)
        self._columns = {
            table: [row[1].decode() for row in memory.execute(f"PRAGMA main.table_info({table})")]
            for table in ("events", "event_states", "executions", "facts", "notifications")
        }

    def bite(self) -> bool:
        """Carry over some of the history that will not change any more; False at its end.

        Raises:
            StoreError: the file cannot be written after all, or is damaged.
        """
        found = self._memory.execute(
            f"SELECT sequence, {_FINAL} FROM main.executions WHERE sequence > ? "  # noqa: S608
            "ORDER BY sequence LIMIT ?",
            (self._walked, BITE),
        ).fetchall()
        if found:
            self._in_transaction([sequence for sequence, final in found if final])
            self._skipped += [sequence for sequence, final in found if not final]
            self._walked = found[-1][0]
        return len(found) == BITE

    def rest(self) -> None:
        """Carry over all that is left, in one transaction.

        Raises:
            StoreError: as :meth:`bite`; then nothing of the rest was carried over.
        """
        later = self._memory.execute(
            "SELECT sequence FROM main.executions WHERE sequence > ?", (self._walked,)
        )
        self._in_transaction([*self._skipped, *(row[0] for row in later)], rest=True)

    def close(self) -> None:
        """Let go of the file."""
        with explained(self._place):
            self._memory.execute("DETACH place")

    def _in_transaction(self, executions: list[int], *, rest: bool = False) -> None:
        with explained(self._place):
            self._memory.execute("BEGIN IMMEDIATE")
            try:
                if rest:
                    self._take_away()
                left_out = self._carry_executions(executions)
                if rest:
                    self._carry_events()
                    self._carry_facts()
                self._memory.execute("COMMIT")
            except BaseException:
                if self._memory.in_transaction:
                    self._memory.execute("ROLLBACK")
                raise
            self.left_out += left_out

    def _take_away(self) -> None:
        """What was removed here is removed there, and gone events release their slots."""
        for table, key in (
            ("events", "event_id"),
            ("event_states", "event_id"),
            ("notifications", "sequence"),
        ):
            known = "loaded_events" if table == "event_states" else f"loaded_{table}"
            self._memory.execute(
                f"DELETE FROM place.{table} WHERE {key} IN (SELECT {key} FROM temp.{known} "  # noqa: S608
                f"EXCEPT SELECT {key} FROM main.{table})"
            )
        self._memory.execute(
            "UPDATE place.executions SET claim = NULL WHERE claim IS NOT NULL AND event_id IN "
            "(SELECT event_id FROM temp.loaded_events EXCEPT SELECT event_id FROM main.events)"
        )

    def _carry_executions(self, sequences: list[int]) -> int:
        """Bring these up to date in the file; returns how many it refuses to have."""
        columns = [name for name in self._columns["executions"] if name != "sequence"]
        names, olds, news = (
            ", ".join(f"{prefix}{name}" for name in columns) for prefix in ("", "old.", "new.")
        )
        changed = ", ".join(f"{name} = new.{name}" for name in columns)
        wanted = (msgspec.json.encode(sequences).decode(),)
        # The ones that are there first: among them may be slots that were released.
        self._memory.execute(
            f"""
            UPDATE OR IGNORE place.executions AS old SET {changed}
            FROM json_each(?) AS wanted, main.executions AS new
            WHERE new.sequence = wanted.value AND old.execution_id = new.execution_id
                AND old.event_id = new.event_id AND old.scheduled_time = new.scheduled_time
                AND ({olds}) IS NOT ({news})
            """,  # noqa: S608 - the names of columns, here and below
            wanted,
        )
        self._memory.execute(
            f"""
            INSERT OR IGNORE INTO place.executions ({names})
            SELECT {names} FROM main.executions WHERE sequence IN (SELECT value FROM json_each(?))
            ORDER BY sequence
            """,  # noqa: S608
            wanted,
        )
        missing = self._memory.execute(
            """
            SELECT count(*) FROM main.executions AS new
            WHERE sequence IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
                SELECT 1 FROM place.executions AS old WHERE old.execution_id = new.execution_id
            )
            """,
            wanted,
        )
        return int(missing.fetchone()[0])

    def _carry_events(self) -> None:
        """Definitions and states that differ. Nothing is written for those that do not."""
        for table in ("events", "event_states"):
            columns = self._columns[table]
            names = ", ".join(columns)
            changed = ", ".join(f"{name} = excluded.{name}" for name in columns)
            news = ", ".join(f"excluded.{name}" for name in columns)
            self._memory.execute(
                f"INSERT INTO place.{table} ({names}) SELECT {names} FROM main.{table} WHERE TRUE "  # noqa: S608
                f"ON CONFLICT (event_id) DO UPDATE SET {changed} WHERE ({names}) IS NOT ({news})"
            )

    def _carry_facts(self) -> None:
        """Facts and kept notifications. What is known here may have begun from nothing, so a fact
        that was not loaded is kept under another name."""
        self._memory.execute(
            """
            INSERT OR REPLACE INTO place.facts (name, value)
            SELECT ? || old.name, old.value
            FROM main.facts AS new JOIN place.facts AS old USING (name)
            WHERE old.name NOT IN (SELECT name FROM temp.loaded_facts)
            """,
            (FORMER,),
        )
        self._memory.execute(
            "INSERT OR REPLACE INTO place.facts (name, value) SELECT name, value FROM main.facts"
        )
        self._memory.execute(
            "INSERT OR IGNORE INTO place.notifications (sequence, body) "
            "SELECT sequence, body FROM main.notifications"
        )

"""The writes: one transaction for everybody who waits, and the blame to whom it belongs.

Blocking, and used by one thread at a time. Transactions are begun and ended by name, since the
connection is in autocommit mode: Python's own idea of when to begin one is never relied on.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain, groupby
from operator import itemgetter

import msgspec

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import from_epoch
from alicia_scheduler.api.store import SlotTaken
from alicia_scheduler.store.faults import concerns_everybody, explained, store_error
from alicia_scheduler.store.rows import (
    SAVE_EXECUTION,
    SAVE_FACT,
    SAVE_NOTIFICATION,
    SAVE_STATE,
    Operation,
)

__all__ = ["FREE_PAGES", "Writer"]

FREE_PAGES = 256
"""So many free pages stay in the file for what comes next; beyond, so many go in one step."""

_DELETE_EXECUTIONS = """
    DELETE FROM executions
    WHERE sequence IN (SELECT value FROM json_each(?)) AND status NOT IN ('pending', 'running')
"""

Operations = Sequence[Operation]
Outcomes = Sequence[StoreError | None]

_REFUSED = (sqlite3.Error, ValueError, OverflowError, StoreError)
"""What applying may raise: SQLite's errors, and Python's for values that cannot be bound."""


class Writer:
    """Applies groups of operations to the writing connection.

    Args:
        connection: in autocommit mode (``isolation_level=None``).
        place: names the store in errors.
    """

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        self._connection = connection
        self._place = place

    def reconnect(self, connection: sqlite3.Connection) -> None:
        """Go on with another connection, when the store was replaced."""
        self._connection = connection

    def write(self, callers: Sequence[Operations]) -> Outcomes:
        """Commit what all callers want in one transaction, in order.

        Returns:
            For each caller None when its operations are durable, or why none of them is applied.
        """
        try:
            self._together(callers)
        except _REFUSED as error:
            self._roll_back()
            if concerns_everybody(error):
                return [store_error(error, self._place)] * len(callers)
            return self._one_by_one(callers)
        except BaseException:
            self._roll_back()
            raise
        return [None] * len(callers)

    def delete_executions(self, sequences: Sequence[int]) -> int:
        """Delete those of the executions that are final, durably; returns how many.

        Raises:
            StoreError: none was deleted.
        """
        wanted = msgspec.json.encode(sequences).decode()
        try:
            with explained(self._place):
                self._connection.execute("BEGIN IMMEDIATE")
                deleted = self._connection.execute(_DELETE_EXECUTIONS, (wanted,)).rowcount
                self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise
        return deleted

    def release_pages(self) -> bool:
        """Give a few free pages back to the file system. False when there are none to give."""
        with explained(self._place):
            free = self._free_pages()
            if free <= FREE_PAGES:
                return False
            # Each page is a step of the statement, taken when its row is fetched.
            self._connection.execute(f"PRAGMA incremental_vacuum({FREE_PAGES})").fetchall()
            return self._free_pages() < free

    def _free_pages(self) -> int:
        return int(self._connection.execute("PRAGMA freelist_count").fetchone()[0])

    def _together(self, callers: Sequence[Operations]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        self._apply(_sorted_runs(callers))
        self._connection.execute("COMMIT")

    def _one_by_one(self, callers: Sequence[Operations]) -> Outcomes:
        """The same with a savepoint for each caller, so that the bad ones fail alone."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            outcomes = [self._apart(operations) for operations in callers]
            self._connection.execute("COMMIT")
        except _REFUSED as error:
            self._roll_back()
            return [store_error(error, self._place)] * len(callers)
        return outcomes

    def _apart(self, operations: Operations) -> StoreError | None:
        self._connection.execute("SAVEPOINT caller")
        try:
            for operation in operations:
                self._apply_one(operation)
        except _REFUSED as error:
            # Some faults end the whole transaction; a savepoint without one would commit alone.
            if concerns_everybody(error) or not self._connection.in_transaction:
                raise
            self._connection.execute("ROLLBACK TO caller")
            self._connection.execute("RELEASE caller")
            return error if isinstance(error, StoreError) else store_error(error, self._place)
        self._connection.execute("RELEASE caller")
        return None

    def _apply(self, operations: Iterable[Operation]) -> None:
        """Run after run of the same statement, which SQLite then prepares and Python looks up
        once."""
        for statement, run in groupby(operations, itemgetter(0)):
            values = [operation.values for operation in run]
            cursor = self._connection.executemany(statement, values)
            if statement is SAVE_EXECUTION and cursor.rowcount != len(values):
                raise StoreError("an execution cannot move to another event or slot")

    def _apply_one(self, operation: Operation) -> None:
        try:
            self._apply((operation,))
        except sqlite3.IntegrityError as error:
            if operation.statement is SAVE_EXECUTION and "executions.claim" in str(error):
                execution_id, event_id, _, slot, *_ = operation.values
                raise SlotTaken(execution_id, event_id, from_epoch(slot)) from error
            raise

    def _roll_back(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")


def _sorted_runs(callers: Sequence[Operations]) -> Iterator[Operation]:
    """All operations, those of one table behind each other where tables do not meet.

    What a due slot changes alternates between executions, states and the fact of the sequence
    number. In long runs of one statement, SQLite and Python get ready for it once.
    """
    for apart, stretch in groupby(chain.from_iterable(callers), _commutes):
        if apart:
            # Sorting keeps the order of those that are equal: the newest of a row comes last.
            yield from sorted(stretch, key=itemgetter(0))
        else:
            yield from stretch


_APART = frozenset((SAVE_EXECUTION, SAVE_STATE, SAVE_FACT, SAVE_NOTIFICATION))
"""Statements that each change a table of their own, one row for a key."""


def _commutes(operation: Operation) -> bool:
    return operation[0] in _APART

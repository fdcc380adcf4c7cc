"""The reads, over any connection: the store's own and the command line's.

A row that cannot be decoded is left out, told once in the log and kept in the list of
:attr:`Queries.damaged`; the page is filled from the rows that follow, so that a short page still
means the end.
"""

from __future__ import annotations

import heapq
import logging
import sqlite3
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    Notification,
    Status,
    to_epoch,
)
from alicia_scheduler.api.store import Damaged, Due, ExecutionPlace
from alicia_scheduler.store import rows
from alicia_scheduler.store.copies import back_up
from alicia_scheduler.store.faults import explained
from alicia_scheduler.store.history import HistoryWalk

__all__ = ["Queries"]

T = TypeVar("T")

_log = logging.getLogger(__name__)

_UNFINISHED_STATUSES = frozenset((Status.PENDING, Status.RUNNING))
_TROUBLED_STATUSES = frozenset(Status) - _UNFINISHED_STATUSES - {Status.COMPLETED}

DAMAGED_LIMIT = 1000
"""At most so many damaged rows are remembered."""

SCANNED = 5000
"""Definitions that are looked at for tags at once: some milliseconds, in which nothing else is
written."""

# INDEXED BY is a promise that the test suite holds: each of these walks an index in order and
# stops where its page ends. Statistics cannot talk SQLite into sorting a million rows.
_DUE_EVENTS = """
    SELECT next_due, event_id, NULL
    FROM event_states INDEXED BY event_states_due
    WHERE next_due IS NOT NULL AND enabled AND (next_due, event_id) > (?, ?)
    ORDER BY next_due, event_id
"""

_DUE_RETRIES = """
    SELECT next_attempt_at, event_id, execution_id
    FROM executions INDEXED BY executions_waiting
    WHERE next_attempt_at IS NOT NULL AND status = 'pending'
        AND (next_attempt_at, event_id, execution_id) > (?, ?, ?)
    ORDER BY next_attempt_at, event_id, execution_id
"""

_RECORDS = f"""
    SELECT {rows.EVENT_COLUMNS}
    FROM events AS e LEFT JOIN event_states AS s USING (event_id)
    WHERE e.event_id IN (SELECT value FROM json_each(?))
"""  # noqa: S608 - constants only, here and below

_EVENTS = f"""
    SELECT {rows.EVENT_COLUMNS}
    FROM events AS e LEFT JOIN event_states AS s USING (event_id)
    WHERE e.event_id > ?
    ORDER BY e.event_id
"""  # noqa: S608

_EVENTS_OF_ORIGIN = f"""
    SELECT {rows.EVENT_COLUMNS}
    FROM events AS e INDEXED BY events_by_origin
        LEFT JOIN event_states AS s USING (event_id)
    WHERE e.origin = ? AND e.event_id > ?
    ORDER BY e.event_id
"""  # noqa: S608

_EXECUTION = f"SELECT {rows.EXECUTION_COLUMNS} FROM executions WHERE execution_id = ?"  # noqa: S608

_UNFINISHED = f"""
    SELECT {rows.EXECUTION_COLUMNS}
    FROM executions INDEXED BY executions_unfinished
    WHERE status IN ('pending', 'running')
    ORDER BY scheduled_time, sequence
"""  # noqa: S608

_FACTS = "SELECT name, value FROM facts"

_EXCESS_NOTIFICATIONS = """
    SELECT coalesce(max(sequence), 0) FROM (
        SELECT sequence,
            row_number() OVER newest AS number,
            sum(length(body)) OVER newest AS size
        FROM notifications
        WINDOW newest AS (ORDER BY sequence DESC)
    )
    WHERE number > ? OR size > ?
"""

_NOTIFICATIONS = "SELECT sequence, body FROM notifications WHERE sequence > ? ORDER BY sequence"

# When the execution of the place is trimmed meanwhile, its slot is begun again: doubled in a
# listing is better than left out.
_FOLLOWS = """
    (scheduled_time, sequence) < (?, coalesce(
        (SELECT sequence FROM executions WHERE execution_id = ?), 9223372036854775807
    ))
"""


class Queries:
    """The reads of the Store contract, blocking. One thread at a time may use it.

    Args:
        connection: gives text as bytes (``text_factory``).
        place: names the store in errors.

    Every method raises :class:`StoreError` when the store cannot be read.
    """

    def __init__(self, connection: sqlite3.Connection, place: str) -> None:
        self._connection = connection
        self._place = place
        self._damaged: dict[tuple[str, str], Damaged] = {}

    def reconnect(self, connection: sqlite3.Connection) -> None:
        """Go on with another connection, when the store was replaced."""
        self._connection = connection
        self._damaged.clear()

    def damaged(self) -> list[Damaged]:
        """See :meth:`Store.damaged`."""
        return list(self._damaged.values())

    def next_due(self, *, after: Due | None, limit: int) -> list[Due]:
        """See :meth:`Store.next_due`."""
        place = (float("-inf"), "", "")
        if after is not None:
            place = (to_epoch(after.at), after.event_id, after.execution_id or "")
        # Two statements, one transaction: what moves from one index to the other is in one page.
        with explained(self._place):
            self._connection.execute("BEGIN")
            try:
                events = self._decoded("due", rows.due, _DUE_EVENTS, place[:2])
                retries = self._decoded("due", rows.due, _DUE_RETRIES, place)
                with closing(events), closing(retries):
                    both = heapq.merge(events, retries, key=_due_place)
                    return list(islice(both, limit))
            finally:
                self._connection.execute("COMMIT")

    def records(self, event_ids: Iterable[str]) -> dict[str, EventRecord]:
        """See :meth:`Store.records`."""
        wanted = msgspec.json.encode(list(event_ids)).decode()
        found = self._page("event", rows.event_record, _RECORDS, (wanted,))
        return {record.event.event_id: record for record in found}

    def list_events(
        self, *, after_id: str | None = None, limit: int = 1000, origin: str | None = None
    ) -> list[EventRecord]:
        """See :meth:`Store.list_events`."""
        after = after_id or ""
        if origin is None:
            return self._page("event", rows.event_record, _EVENTS, (after,), limit)
        values = (origin, after)
        return self._page("event", rows.event_record, _EVENTS_OF_ORIGIN, values, limit)

    def tagged(
        self, tags: Sequence[str], *, after_id: str | None = None, limit: int = 1000
    ) -> tuple[list[str], str | None]:
        """See :meth:`SqliteStore.tagged`. Whoever holds a tag's JSON anywhere may have it;
        to look for that costs a fraction of reading the definition."""
        holds = " OR ".join(["instr(definition, ?)"] * len(tags)) or "0"
        statement = f"""
            SELECT event_id, {holds} FROM events
            WHERE event_id > ? ORDER BY event_id LIMIT ?
        """  # noqa: S608 - the parts are constants, the values are bound
        written = [msgspec.json.encode(tag).decode() for tag in tags]
        found: list[str] = []
        with explained(self._place):
            looked_at = self._connection.execute(
                statement, (*written, after_id or "", SCANNED)
            ).fetchall()
        for at, (event_id, may_have) in enumerate(looked_at):
            if may_have:
                found.append(event_id.decode(errors="replace"))
                if len(found) == limit and at + 1 < len(looked_at):
                    return found, found[-1]
        if len(looked_at) < SCANNED:
            return found, None
        return found, looked_at[-1][0].decode(errors="replace")

    def execution(self, execution_id: str) -> EventExecution | None:
        """See :meth:`Store.execution`."""
        found = self._page("execution", rows.execution, _EXECUTION, (execution_id,))
        return found[0] if found else None

    def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: ExecutionPlace | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        """See :meth:`Store.list_executions`."""
        chosen = None if statuses is None else sorted(set(statuses))
        if chosen == []:
            return []
        index, condition = _index(event_id, chosen)
        conditions, values = [condition], list[Any]()
        if event_id is not None:
            conditions.append("event_id = ?")
            values.append(event_id)
        if chosen is not None:
            conditions.append(f"status IN ({', '.join('?' * len(chosen))})")
            values.extend(chosen)
        if after is not None:
            conditions.append(_FOLLOWS)
            values.extend((to_epoch(after.scheduled_time), after.execution_id))
        statement = f"""
            SELECT {rows.EXECUTION_COLUMNS} FROM executions INDEXED BY {index}
            WHERE {" AND ".join(conditions)}
            ORDER BY scheduled_time DESC, sequence DESC
        """  # noqa: S608 - the parts are constants, the values are bound
        return self._page("execution", rows.execution, statement, tuple(values), limit)

    def unfinished(self) -> list[EventExecution]:
        """See :meth:`Store.unfinished`."""
        return self._page("execution", rows.execution, _UNFINISHED, ())

    def expendable(self, walk: HistoryWalk, limit: int) -> list[int] | None:
        """See :meth:`HistoryWalk.bite`."""
        with explained(self._place):
            return walk.bite(self._connection, limit)

    def back_up(self, to: Path, go_on: Callable[[], None]) -> None:
        """See :meth:`SqliteStore.backup`."""
        with explained(self._place):
            back_up(self._connection, to, go_on)

    def facts(self) -> dict[str, Any]:
        """See :meth:`Store.facts`."""
        return dict(self._page("fact", rows.fact, _FACTS, ()))

    def notifications(self, *, after: int, limit: int) -> list[Notification]:
        """See :meth:`Store.notifications`."""
        return self._page("notification", rows.notification, _NOTIFICATIONS, (after,), limit)

    def excess_notifications(self, *, count: int, size: int) -> int:
        """See :meth:`Store.excess_notifications`."""
        with explained(self._place):
            row = self._connection.execute(_EXCESS_NOTIFICATIONS, (count, size)).fetchone()
            return int(row[0])

    def _page(
        self,
        kind: str,
        decode: Callable[[rows.Row], T],
        statement: str,
        values: rows.Row,
        limit: int | None = None,
    ) -> list[T]:
        with (
            explained(self._place),
            closing(self._decoded(kind, decode, statement, values)) as all_,
        ):
            return list(islice(all_, limit))

    def _decoded(
        self, kind: str, decode: Callable[[rows.Row], T], statement: str, values: rows.Row
    ) -> Generator[T, None, None]:
        with closing(self._connection.execute(statement, values)) as cursor:
            for row in cursor:
                try:
                    value = decode(row)
                except Exception as error:  # noqa: BLE001 - damage has no fixed shape
                    self._leave_out(kind, row, error)
                else:
                    yield value

    def _leave_out(self, kind: str, row: rows.Row, error: Exception) -> None:
        raw = row[1] if kind == "due" else row[0]
        name = raw.decode(errors="backslashreplace") if isinstance(raw, bytes) else repr(raw)
        if (kind, name) in self._damaged or len(self._damaged) >= DAMAGED_LIMIT:
            return
        problem = f"{type(error).__name__}: {error}"
        self._damaged[kind, name] = Damaged(kind, name, problem)
        _log.error("store %s: %s %s is damaged, left out: %s", self._place, kind, name, problem)


def _index(event_id: str | None, statuses: Iterable[Status] | None) -> tuple[str, str]:
    """The index that leads to these executions soonest, and the condition it was made with."""
    if event_id is not None:
        chosen = list(statuses or ())
        if len(chosen) == 1 and chosen[0].final:
            return "executions_by_outcome", "status NOT IN ('pending', 'running')"
        return "executions_by_event", "TRUE"
    if statuses is not None and _UNFINISHED_STATUSES.issuperset(statuses):
        return "executions_unfinished", "status IN ('pending', 'running')"
    if statuses is not None and _TROUBLED_STATUSES.issuperset(statuses):
        return "executions_troubled", "status NOT IN ('pending', 'running', 'completed')"
    return "executions_by_slot", "TRUE"


def _due_place(entry: Due) -> tuple[float, str, str]:
    return (to_epoch(entry.at), entry.event_id, entry.execution_id or "")

"""What of the history may go: found in bites, so that nobody waits while it is looked for.

A walk has two legs. The first goes from the oldest execution on, for age and size; the second goes
from event to event, for the count. Both leave out what :data:`_MAY_GO` protects.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

__all__ = ["HistoryRules", "HistoryWalk"]

_ROWS_IN_A_BITE = 1000
_STEPS_IN_A_BITE = 50_000

# Final, and followed by enough executions of the same event that ended in the same way.
_MAY_GO = """
    old.status NOT IN ('pending', 'running') AND :keep <= (
        SELECT count(*) FROM (
            SELECT 1 FROM executions AS newer INDEXED BY executions_by_outcome
            WHERE newer.event_id = old.event_id AND newer.status = old.status
                AND newer.status NOT IN ('pending', 'running')
                AND (newer.scheduled_time, newer.sequence) > (old.scheduled_time, old.sequence)
            LIMIT :keep
        )
    )
"""

_OLDEST = f"""
    SELECT sequence, scheduled_time, {_MAY_GO}
    FROM executions AS old INDEXED BY executions_by_slot
    WHERE (scheduled_time, sequence) > (:slot, :sequence) AND scheduled_time < :before
    ORDER BY scheduled_time, sequence
    LIMIT :rows
"""  # noqa: S608 - constants only, here and below

_NEXT_EVENT = """
    SELECT event_id FROM executions INDEXED BY executions_by_event
    WHERE event_id > ? ORDER BY event_id LIMIT 1
"""

_FIRST_TOO_MANY = """
    SELECT scheduled_time, sequence FROM executions INDEXED BY executions_by_event
    WHERE event_id = ? ORDER BY scheduled_time DESC, sequence DESC LIMIT 1 OFFSET ?
"""

_TOO_MANY = f"""
    SELECT sequence FROM executions AS old INDEXED BY executions_by_event
    WHERE event_id = :event_id AND (scheduled_time, sequence) <= (:slot, :sequence) AND {_MAY_GO}
    ORDER BY scheduled_time, sequence
    LIMIT :rows
"""  # noqa: S608


class HistoryRules(NamedTuple):
    """See :meth:`Store.trim`; ``older_than`` is epoch seconds."""

    older_than: float | None
    per_event: int | None
    keep_per_status: int
    size_limit: int | None


class HistoryWalk:
    """How far a walk over the history has come.

    Args:
        rules: those that the walk is for; its ``older_than`` may move on between bites.
    """

    def __init__(self, rules: HistoryRules) -> None:
        self._rules = rules
        self._place = (float("-inf"), 0)
        self._oldest_done = False
        self._event_id = ""

    def goes_on_with(self, rules: HistoryRules) -> bool:
        """Take over ``rules``, unless they differ in more than how far time has come."""
        had_age, has_age = self._rules.older_than is not None, rules.older_than is not None
        same = had_age == has_age and self._rules[1:] == rules[1:]
        if same:
            self._rules = rules
        return same

    def bite(self, connection: sqlite3.Connection, limit: int) -> list[int] | None:
        """Look a bounded way further.

        Returns:
            The sequence numbers of at most ``limit`` executions that may go, possibly none, or
            None at the end of the walk.
        """
        if not self._oldest_done:
            return self._oldest(connection, limit)
        return self._too_many(connection, limit)

    def _oldest(self, connection: sqlite3.Connection, limit: int) -> list[int]:
        rules = self._rules
        before = float("-inf") if rules.older_than is None else rules.older_than
        if rules.size_limit is not None and _used_bytes(connection) > rules.size_limit:
            before = float("inf")
        slot, sequence = self._place
        wanted = {
            "slot": slot, "sequence": sequence, "before": before, "keep": rules.keep_per_status,
            "rows": _ROWS_IN_A_BITE,
        }  # fmt: skip
        found: list[int] = []
        rows = connection.execute(_OLDEST, wanted).fetchall()
        for sequence, slot, may_go in rows:
            self._place = (slot, sequence)
            if may_go:
                found.append(sequence)
            if len(found) == limit:
                return found
        self._oldest_done = len(rows) < _ROWS_IN_A_BITE
        return found

    def _too_many(self, connection: sqlite3.Connection, limit: int) -> list[int] | None:
        rules = self._rules
        if rules.per_event is None:
            return None
        found: list[int] = []
        for _ in range(1 + _STEPS_IN_A_BITE // (rules.per_event + 100)):
            row = connection.execute(_NEXT_EVENT, (self._event_id,)).fetchone()
            if row is None:
                return found or None
            event_id = row[0].decode()
            room = limit - len(found)
            of_event = _beyond(connection, event_id, rules.per_event, rules.keep_per_status, room)
            found.extend(of_event)
            if len(of_event) == room:
                break
            self._event_id = event_id
        return found


def _beyond(
    connection: sqlite3.Connection, event_id: str, count: int, keep: int, rows: int
) -> list[int]:
    """The oldest executions of an event that may go, of those beyond the newest ``count``."""
    first = connection.execute(_FIRST_TOO_MANY, (event_id, count)).fetchone()
    if first is None:
        return []
    slot, sequence = first
    wanted = {
        "event_id": event_id, "slot": slot, "sequence": sequence, "keep": keep, "rows": rows,
    }  # fmt: skip
    return [row[0] for row in connection.execute(_TOO_MANY, wanted)]


def _used_bytes(connection: sqlite3.Connection) -> int:
    pages, free, size = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0])
        for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size

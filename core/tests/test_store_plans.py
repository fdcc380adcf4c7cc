"""Every query walks an index in order and stops where its page ends, whatever is stored."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from alicia_scheduler.api import EventExecution, Status
from alicia_scheduler.api.store import Due, ExecutionPlace, SaveExecution
from alicia_scheduler.store import connections
from alicia_scheduler.store.history import HistoryRules, HistoryWalk
from alicia_scheduler.store.queries import Queries
from alicia_scheduler.store.rows import operations
from alicia_scheduler.store.schema import prepare
from alicia_scheduler.store.writer import Writer

PLACE = ExecutionPlace(datetime(2026, 1, 1, tzinfo=UTC), "r1")


def too_many(queries):
    save = SaveExecution(
        EventExecution(
            execution_id="r1",
            event_id="event",
            revision=1,
            scheduled_time=PLACE.scheduled_time,
            status=Status.COMPLETED,
        )
    )
    Writer(queries._connection, "here").write([operations([save])])
    walk = HistoryWalk(HistoryRules(None, 0, 0, None))
    assert queries.expendable(walk, 10) == []
    assert queries.expendable(walk, 10) == [1]


QUERIES = {
    "what comes next": lambda queries: queries.next_due(after=None, limit=10),
    "what comes next, later": lambda queries: queries.next_due(
        after=Due(datetime(2026, 1, 1, tzinfo=UTC), "event"), limit=10
    ),
    "some events": lambda queries: queries.records(["a", "b"]),
    "all events": lambda queries: queries.list_events(after_id="a"),
    "events of an origin": lambda queries: queries.list_events(origin="file"),
    "one execution": lambda queries: queries.execution("r1"),
    "kept notifications": lambda queries: queries.notifications(after=5, limit=10),
    "executions": lambda queries: queries.list_executions(),
    "executions of an event": lambda queries: queries.list_executions(event_id="event"),
    "failed executions": lambda queries: queries.list_executions(statuses=[Status.FAILED]),
    "running executions": lambda queries: queries.list_executions(statuses=[Status.RUNNING]),
    "executions, later": lambda queries: queries.list_executions(after=PLACE),
    "executions of an event, later": lambda queries: queries.list_executions(
        event_id="event", after=PLACE
    ),
    "failed executions of an event": lambda queries: queries.list_executions(
        event_id="event", statuses=[Status.FAILED], after=PLACE
    ),
    "what is too old": lambda queries: queries.expendable(
        HistoryWalk(HistoryRules(1.0, None, 10, None)), 10
    ),
    "what makes the store too large": lambda queries: queries.expendable(
        HistoryWalk(HistoryRules(None, None, 10, 1)), 10
    ),
    "what is too many of an event": too_many,
    "facts": lambda queries: queries.facts(),
    "unfinished executions": lambda queries: queries.unfinished(),
}


@pytest.fixture
def connection():
    opened = connections.open_memory()
    prepare(opened, None)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_reads_or_sorts_a_whole_table(connection, name):
    statements = []
    connection.set_trace_callback(statements.append)
    QUERIES[name](Queries(connection, "here"))
    connection.set_trace_callback(None)
    # The trace writes infinity in a way that SQL does not read.
    statements = [statement.replace("Inf", "9e999") for statement in statements]
    plan = [
        row[3].decode()
        for statement in statements
        if "SELECT" in statement
        for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")
    ]
    assert plan
    whole = [
        step
        for step in plan
        if step == "USE TEMP B-TREE FOR ORDER BY"
        or (
            step.startswith("SCAN")
            and "INDEX" not in step
            and "json_each" not in step
            and step not in ("SCAN facts", "SCAN (subquery-1)")
        )
    ]
    assert whole == []

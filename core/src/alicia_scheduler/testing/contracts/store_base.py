"""What the parts of the store's contract share: how to open it, and things to put into it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from typing import Any

from alicia_scheduler.api import EventExecution, EventState, Notification
from alicia_scheduler.api.store import Store
from alicia_scheduler.testing.contracts.contract import Contract

__all__ = ["NOON", "StorePart", "at", "ids", "run", "state", "told"]

NOON = datetime(2026, 3, 29, 12, 0, 0, 123457, tzinfo=UTC)


class StorePart(Contract):
    """A part of the store's contract."""

    def opened(self) -> AbstractAsyncContextManager[Store]:
        """The store. Within a test it is opened at the same place each time, and each test has a
        place of its own that is empty at first."""
        self.missing("opened", "open the store, at a place that is empty when a test begins")


def at(seconds: float) -> datetime:
    """An instant so many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def state(next_due: datetime | None = None, **fields: Any) -> EventState:
    """A state whose next slot is due then."""
    return EventState(next_due=next_due, next_run=next_due, **fields)


def run(
    execution_id: str, slot: datetime = NOON, event_id: str = "event", **fields: Any
) -> EventExecution:
    """An execution for a slot."""
    return EventExecution(
        execution_id=execution_id, event_id=event_id, revision=1, scheduled_time=slot, **fields
    )


def ids(executions: Iterable[EventExecution]) -> list[str]:
    """The ids of executions, in their order."""
    return [execution.execution_id for execution in executions]


def told(sequence: int) -> Notification:
    """A notification with a number."""
    return Notification(
        event_type="execution_started",
        event_data={"event_id": "lamp", "lateness": 0.25},
        timestamp=at(sequence),
        source="event_scheduler",
        sequence=sequence,
    )

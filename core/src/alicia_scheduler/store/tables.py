"""What a store in memory holds, in dictionaries: changes are checked, then applied.

The model's values are frozen and are kept as they are. What is asked for often, by id, is found at
once; a listing looks at everything there is, which memory bounds.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    Notification,
    Status,
    Trigger,
    to_epoch,
)
from alicia_scheduler.api.store import (
    Change,
    DropNotifications,
    Due,
    ExecutionPlace,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveNotification,
    SaveState,
    SlotTaken,
)

__all__ = ["Kept", "Tables"]

Slot = tuple[str, datetime]

_encode = msgspec.json.Encoder().encode
_CLAIMING = (Trigger.SCHEDULE, Trigger.CATCHUP)
_UNFINISHED = (Status.PENDING, Status.RUNNING)


@dataclass(slots=True, eq=False)
class Kept:
    """An execution.

    Attributes:
        sequence: in the order in which they were inserted.
        size: bytes of its JSON.
        claims: whether its slot may not run again.
    """

    execution: EventExecution
    sequence: int
    size: int
    claims: bool

    @property
    def place(self) -> tuple[datetime, int]:
        """Sorts executions by slot, then by insertion."""
        return self.execution.scheduled_time, self.sequence


class Tables:
    """Everything a store keeps.

    Attributes:
        size: bytes of JSON of all executions.
    """

    def __init__(self) -> None:
        self.size = 0
        self._facts: dict[str, Any] = {}
        self._events: dict[str, EventRecord] = {}
        self._executions: dict[str, Kept] = {}
        self._of_event: dict[str, dict[str, Kept]] = {}
        self._unfinished: dict[str, Kept] = {}
        self._claims: dict[Slot, str] = {}
        self._notifications: dict[int, tuple[Notification, int]] = {}
        self._inserted = 0

    # -- changes -----------------------------------------------------------------------------

    def commit(self, changes: Sequence[Change]) -> None:
        """Apply all changes, in order, or none.

        Raises:
            StoreError: see :meth:`Store.commit`.
        """
        sizes = self._checked(changes)
        for change, size in zip(changes, sizes, strict=True):
            self._apply(change, size)

    def _checked(self, changes: Sequence[Change]) -> list[int]:
        """Find out whether every change can be applied; the bytes of JSON that each one holds."""
        sizes: list[int] = []
        slots: dict[str, Slot] = {}
        claimed: dict[Slot, str] = {}
        released: set[str] = set()
        for change in changes:
            if isinstance(change, SaveExecution):
                run = change.execution
                sizes.append(_size(run, f"the execution {run.execution_id}"))
                slot = (run.event_id, run.scheduled_time)
                known = self._executions.get(run.execution_id)
                before = known.execution if known is not None else None
                mine = (before.event_id, before.scheduled_time) if before is not None else None
                mine = slots.setdefault(run.execution_id, mine or slot)
                if mine != slot:
                    raise StoreError("an execution cannot move to another event or slot")
                if before is None and run.trigger in _CLAIMING:
                    taken = slot in self._claims and run.event_id not in released
                    owner = claimed.setdefault(slot, run.execution_id)
                    if taken or owner != run.execution_id:
                        raise SlotTaken(run.execution_id, run.event_id, run.scheduled_time)
            elif isinstance(change, SaveState):
                sizes.append(0)
            elif isinstance(change, SaveEvent):
                sizes.append(_size(change.event, f"event {change.event.event_id}"))
            elif isinstance(change, SaveFact):
                sizes.append(_size(change.value, f"the fact {change.name}"))
            elif isinstance(change, SaveNotification):
                told = change.notification
                sizes.append(_size(told, f"the notification {told.sequence}"))
            else:
                sizes.append(0)
                if isinstance(change, RemoveEvent):
                    released.add(change.event_id)
                    claimed = {slot: by for slot, by in claimed.items() if slot[0] not in released}
        return sizes

    def _apply(self, change: Change, size: int) -> None:
        if isinstance(change, SaveExecution):
            self._save_execution(change.execution, size)
        elif isinstance(change, SaveState):
            if (record := self._events.get(change.event_id)) is not None:
                self._events[change.event_id] = EventRecord(record.event, change.state)
        elif isinstance(change, SaveEvent):
            self._events[change.event.event_id] = EventRecord(change.event, change.state)
        elif isinstance(change, SaveFact):
            self._facts[change.name] = change.value
        elif isinstance(change, SaveNotification):
            told = change.notification
            self._notifications[told.sequence] = (told, size)
        elif isinstance(change, DropNotifications):
            for number in [number for number in self._notifications if number <= change.up_to]:
                del self._notifications[number]
        else:
            self._remove_event(change.event_id)

    def _save_execution(self, run: EventExecution, size: int) -> None:
        kept = self._executions.get(run.execution_id)
        if kept is None:
            self._inserted += 1
            kept = Kept(run, self._inserted, 0, run.trigger in _CLAIMING)
            self._executions[run.execution_id] = kept
            self._of_event.setdefault(run.event_id, {})[run.execution_id] = kept
            if kept.claims:
                self._claims[run.event_id, run.scheduled_time] = run.execution_id
        self.size += size - kept.size
        kept.execution, kept.size = run, size
        if run.status in _UNFINISHED:
            self._unfinished[run.execution_id] = kept
        else:
            self._unfinished.pop(run.execution_id, None)

    def _remove_event(self, event_id: str) -> None:
        self._events.pop(event_id, None)
        # An event made anew under the same id may use the same slots again.
        for kept in self._of_event.get(event_id, {}).values():
            self._release(kept)

    def _release(self, kept: Kept) -> None:
        if kept.claims:
            kept.claims = False
            del self._claims[kept.execution.event_id, kept.execution.scheduled_time]

    def delete(self, kept: Kept) -> None:
        """Forget an execution that has ended."""
        run = kept.execution
        self._release(kept)
        self.size -= kept.size
        del self._executions[run.execution_id]
        of_event = self._of_event[run.event_id]
        del of_event[run.execution_id]
        if not of_event:
            del self._of_event[run.event_id]

    # -- answers -----------------------------------------------------------------------------

    def next_due(self, *, after: Due | None, limit: int) -> list[Due]:
        """See :meth:`Store.next_due`."""
        behind = None if after is None else _due_place(after)
        dues = [
            Due(record.state.next_due, record.event.event_id)
            for record in self._events.values()
            if record.state.next_due is not None and record.event.enabled
        ]
        dues += [
            Due(run.next_attempt_at, run.event_id, run.execution_id)
            for run in (kept.execution for kept in self._unfinished.values())
            if run.next_attempt_at is not None and run.status is Status.PENDING
        ]
        following = (due for due in dues if behind is None or _due_place(due) > behind)
        return heapq.nsmallest(limit, following, key=_due_place)

    def records(self, event_ids: Iterable[str]) -> dict[str, EventRecord]:
        """See :meth:`Store.records`."""
        return {name: self._events[name] for name in event_ids if name in self._events}

    def list_events(
        self, *, after_id: str | None = None, limit: int = 1000, origin: str | None = None
    ) -> list[EventRecord]:
        """See :meth:`Store.list_events`."""
        behind = after_id or ""
        ids = (
            event_id
            for event_id, record in self._events.items()
            if event_id > behind and (origin is None or record.event.origin == origin)
        )
        return [self._events[event_id] for event_id in heapq.nsmallest(limit, ids)]

    def execution(self, execution_id: str) -> EventExecution | None:
        """See :meth:`Store.execution`."""
        kept = self._executions.get(execution_id)
        return None if kept is None else kept.execution

    def list_executions(
        self,
        *,
        event_id: str | None = None,
        statuses: Iterable[Status] | None = None,
        after: ExecutionPlace | None = None,
        limit: int = 100,
    ) -> list[EventExecution]:
        """See :meth:`Store.list_executions`."""
        found = self._executions if event_id is None else self._of_event.get(event_id, {})
        every: Iterable[Kept] = found.values()
        if statuses is not None:
            chosen = frozenset(statuses)
            every = (kept for kept in every if kept.execution.status in chosen)
        if after is not None:
            # When that one is gone, its slot is begun again: better doubled than left out.
            last = self._executions.get(after.execution_id)
            place = (after.scheduled_time, last.sequence if last else self._inserted + 1)
            every = (kept for kept in every if kept.place < place)
        page = heapq.nlargest(limit, every, key=lambda kept: kept.place)
        return [kept.execution for kept in page]

    def unfinished(self) -> list[EventExecution]:
        """See :meth:`Store.unfinished`."""
        ordered = sorted(self._unfinished.values(), key=lambda kept: kept.place)
        return [kept.execution for kept in ordered]

    def facts(self) -> dict[str, Any]:
        """See :meth:`Store.facts`."""
        return dict(self._facts)

    def notifications(self, *, after: int, limit: int) -> list[Notification]:
        """See :meth:`Store.notifications`."""
        numbers = sorted(number for number in self._notifications if number > after)
        return [self._notifications[number][0] for number in numbers[:limit]]

    def excess_notifications(self, *, count: int, size: int) -> int:
        """See :meth:`Store.excess_notifications`."""
        for place, number in enumerate(sorted(self._notifications, reverse=True)):
            size -= self._notifications[number][1]
            if place >= count or size < 0:
                return number
        return 0

    # -- the history -------------------------------------------------------------------------

    def event_ids(self) -> list[str]:
        """The ids of all events that have executions now."""
        return list(self._of_event)

    def expendable(
        self, event_id: str, keep: int, older_than: datetime | None, per_event: int | None
    ) -> list[Kept]:
        """The executions of an event that may go (:meth:`Store.trim`), oldest first. With neither
        an age nor a count these are all that no rule protects."""
        newest = sorted(
            self._of_event.get(event_id, {}).values(), key=lambda kept: kept.place, reverse=True
        )
        ended: Counter[Status] = Counter()
        may_go: list[Kept] = []
        for number, kept in enumerate(newest):
            run = kept.execution
            if not run.status.final:
                continue
            ended[run.status] += 1
            wanted = (
                (older_than is None and per_event is None)
                or (older_than is not None and run.scheduled_time < older_than)
                or (per_event is not None and number >= per_event)
            )
            if wanted and ended[run.status] > keep:
                may_go.append(kept)
        return may_go[::-1]


def _size(value: object, what: str) -> int:
    """Bytes of JSON; raises StoreError for what JSON cannot hold, and for text that is none."""
    try:
        return len(_encode(value))
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StoreError(f"{what} cannot be stored as JSON: {error}") from error


def _due_place(due: Due) -> tuple[float, str, str]:
    return (to_epoch(due.at), due.event_id, due.execution_id or "")

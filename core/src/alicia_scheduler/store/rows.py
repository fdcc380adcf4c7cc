"""Between the model and rows: changes to statements with values, rows back to model values.

Instants are columns of epoch seconds (REAL, exact to the microsecond until the year 2242);
definitions and results are JSON text. Connections give text as bytes, which is quicker for JSON
and leaves a row with damaged text readable enough to be named.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, NamedTuple

import msgspec

from alicia_scheduler.api.errors import StoreError
from alicia_scheduler.api.model import (
    EventExecution,
    EventRecord,
    EventState,
    Notification,
    ScheduledEvent,
    Status,
    Step,
    Trigger,
    from_epoch,
)
from alicia_scheduler.api.store import (
    Change,
    DropNotifications,
    Due,
    RemoveEvent,
    SaveEvent,
    SaveExecution,
    SaveFact,
    SaveNotification,
    SaveState,
)

__all__ = [
    "EVENT_COLUMNS",
    "EXECUTION_COLUMNS",
    "SAVE_EXECUTION",
    "SAVE_FACT",
    "SAVE_NOTIFICATION",
    "SAVE_STATE",
    "Operation",
    "Row",
    "due",
    "event_record",
    "execution",
    "fact",
    "notification",
    "operations",
]

Row = tuple[Any, ...]


class Operation(NamedTuple):
    """A statement with its values."""

    statement: str
    values: Row


_SAVE_DEFINITION: Final = """
    INSERT INTO events (event_id, origin, definition) VALUES (?, ?, ?)
    ON CONFLICT (event_id) DO UPDATE SET
        origin = excluded.origin, definition = excluded.definition
"""

_SAVE_NEW_STATE: Final = """
    INSERT OR REPLACE INTO event_states (
        next_due, next_run, anchor, slot_count, last_run, last_status,
        run_count, success_count, failure_count, failures_in_row, failing_since, paused_until,
        paused_reason, skip_slots, event_id, enabled
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""

SAVE_STATE: Final = """
    UPDATE event_states SET
        next_due = ?, next_run = ?, anchor = ?, slot_count = ?, last_run = ?, last_status = ?,
        run_count = ?, success_count = ?, failure_count = ?, failures_in_row = ?,
        failing_since = ?, paused_until = ?, paused_reason = ?, skip_slots = ?
    WHERE event_id = ?
"""

_REMOVE_DEFINITION: Final = "DELETE FROM events WHERE event_id = ?"
_REMOVE_STATE: Final = "DELETE FROM event_states WHERE event_id = ?"
# An event made anew under the same id may use the same slots again.
_RELEASE_CLAIMS: Final = """
    UPDATE executions SET claim = NULL WHERE event_id = ? AND claim IS NOT NULL
"""

SAVE_EXECUTION: Final = """
    INSERT INTO executions (
        execution_id, event_id, revision, scheduled_time, claim, status, trigger, start_time,
        end_time, retry_count, reason, next_attempt_at, error_message, result, due_time,
        error_class, steps, retry_of, parent_id, useful_until
    ) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (execution_id) DO UPDATE SET
        revision = excluded.revision, status = excluded.status, trigger = excluded.trigger,
        start_time = excluded.start_time, end_time = excluded.end_time,
        retry_count = excluded.retry_count, reason = excluded.reason,
        next_attempt_at = excluded.next_attempt_at, error_message = excluded.error_message,
        result = excluded.result, due_time = excluded.due_time,
        error_class = excluded.error_class, steps = excluded.steps, retry_of = excluded.retry_of,
        parent_id = excluded.parent_id, useful_until = excluded.useful_until
    WHERE event_id = excluded.event_id AND scheduled_time = excluded.scheduled_time
"""
"""Changes one row, or none when the id belongs to another event or slot."""

SAVE_FACT: Final = """
    INSERT INTO facts (name, value) VALUES (?, ?)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
"""

SAVE_NOTIFICATION: Final = "INSERT OR REPLACE INTO notifications (sequence, body) VALUES (?, ?)"
_DROP_NOTIFICATIONS: Final = "DELETE FROM notifications WHERE sequence <= ?"

_CLAIMING = (Trigger.SCHEDULE, Trigger.CATCHUP)

EVENT_COLUMNS: Final = (
    "e.event_id, e.definition, s.next_due, s.next_run, s.anchor, s.slot_count, s.last_run, "
    "s.last_status, s.run_count, s.success_count, s.failure_count, s.failures_in_row, "
    "s.failing_since, s.paused_until, s.paused_reason, s.skip_slots"
)
"""What :func:`event_record` reads, of ``events AS e`` and ``event_states AS s``."""

EXECUTION_COLUMNS: Final = (
    "execution_id, event_id, revision, scheduled_time, status, trigger, start_time, end_time, "
    "retry_count, reason, next_attempt_at, error_message, result, due_time, error_class, steps, "
    "retry_of, parent_id, useful_until"
)
"""What :func:`execution` reads."""

_encode = msgspec.json.Encoder().encode
_decode_definition = msgspec.json.Decoder(ScheduledEvent).decode
_decode_result = msgspec.json.Decoder(dict[str, Any]).decode
_decode_notification = msgspec.json.Decoder(Notification).decode
_decode_fact = msgspec.json.Decoder().decode
_decode_slots = msgspec.json.Decoder(list[float]).decode
_decode_steps = msgspec.json.Decoder(tuple[Step, ...]).decode
_STATUS = {status.value.encode(): status for status in Status}
_TRIGGER = {trigger.value.encode(): trigger for trigger in Trigger}


def operations(changes: Sequence[Change]) -> list[Operation]:
    """The statements of ``changes``, in order.

    Raises:
        StoreError: a definition or a result holds what JSON cannot.
    """
    done: list[Operation] = []
    for change in changes:
        if isinstance(change, SaveExecution):
            done.append(Operation(SAVE_EXECUTION, _execution_values(change.execution)))
        elif isinstance(change, SaveState):
            done.append(Operation(SAVE_STATE, (*_state_values(change.state), change.event_id)))
        elif isinstance(change, SaveEvent):
            event = change.event
            definition = _json(event, f"event {event.event_id}")
            state = (*_state_values(change.state), event.event_id, event.enabled)
            done.append(Operation(_SAVE_DEFINITION, (event.event_id, event.origin, definition)))
            done.append(Operation(_SAVE_NEW_STATE, state))
        elif isinstance(change, SaveFact):
            value = _json(change.value, f"the fact {change.name}")
            done.append(Operation(SAVE_FACT, (change.name, value)))
        elif isinstance(change, SaveNotification):
            told = change.notification
            body = _json(told, f"the notification {told.sequence}")
            done.append(Operation(SAVE_NOTIFICATION, (told.sequence, body)))
        elif isinstance(change, DropNotifications):
            done.append(Operation(_DROP_NOTIFICATIONS, (change.up_to,)))
        else:
            done.extend(_removal(change))
    return done


def _removal(change: RemoveEvent) -> list[Operation]:
    values = (change.event_id,)
    return [
        Operation(_REMOVE_DEFINITION, values),
        Operation(_REMOVE_STATE, values),
        Operation(_RELEASE_CLAIMS, values),
    ]


def _state_values(state: EventState) -> Row:
    return (
        state.next_due and state.next_due.timestamp(),
        state.next_run and state.next_run.timestamp(),
        state.anchor and state.anchor.timestamp(),
        state.slot_count,
        state.last_run and state.last_run.timestamp(),
        str.__str__(state.last_status),
        state.run_count,
        state.success_count,
        state.failure_count,
        state.failures_in_row,
        state.failing_since and state.failing_since.timestamp(),
        state.paused_until and state.paused_until.timestamp(),
        state.paused_reason,
        _slots_json(state.skip_slots) if state.skip_slots else None,
    )


def _execution_values(run: EventExecution) -> Row:
    result = run.result
    return (
        run.execution_id,
        run.event_id,
        run.revision,
        run.scheduled_time.timestamp(),
        1 if run.trigger in _CLAIMING else None,
        str.__str__(run.status),
        str.__str__(run.trigger),
        run.start_time and run.start_time.timestamp(),
        run.end_time and run.end_time.timestamp(),
        run.retry_count,
        run.reason,
        run.next_attempt_at and run.next_attempt_at.timestamp(),
        run.error_message,
        None if result is None else _json(result, f"the result of {run.execution_id}"),
        run.due_time and run.due_time.timestamp(),
        run.error_class,
        _steps_json(run.steps) if run.steps else None,
        run.retry_of,
        run.parent_id,
        run.useful_until and run.useful_until.timestamp(),
    )


def event_record(row: Row) -> EventRecord:
    """Read :data:`EVENT_COLUMNS`. Raises an Exception of any kind when the row is damaged."""
    event_id, definition, due_at, run_at, anchor, slots, last, status, *more = row
    event = _decode_definition(definition)
    if event.event_id != event_id.decode():
        raise ValueError(f"the definition is that of {event.event_id!r}")
    runs, successes, failures, in_row, failing, paused_until, paused_reason, skip_slots = more
    state = EventState(
        next_run=_instant(run_at),
        next_due=_instant(due_at),
        anchor=_instant(anchor),
        slot_count=int(slots),
        paused_until=_instant(paused_until),
        paused_reason=_text(paused_reason),
        skip_slots=() if skip_slots is None else _slots(skip_slots),
        last_run=_instant(last),
        last_status=_STATUS[status],
        run_count=int(runs),
        success_count=int(successes),
        failure_count=int(failures),
        failures_in_row=int(in_row),
        failing_since=_instant(failing),
    )
    return EventRecord(event, state)


def execution(row: Row) -> EventExecution:
    """Read :data:`EXECUTION_COLUMNS`. Raises an Exception of any kind when the row is damaged."""
    (
        execution_id, event_id, revision, slot, status, trigger, start, end,
        retries, reason, next_attempt, error, result, due_time, error_class, steps, retry_of,
        parent_id, useful_until,
    ) = row  # fmt: skip
    return EventExecution(
        execution_id=execution_id.decode(),
        event_id=event_id.decode(),
        revision=int(revision),
        scheduled_time=from_epoch(slot),
        due_time=_instant(due_time),
        status=_STATUS[status],
        trigger=_TRIGGER[trigger],
        start_time=_instant(start),
        end_time=_instant(end),
        retry_count=int(retries),
        reason=_text(reason),
        next_attempt_at=_instant(next_attempt),
        error_message=_text(error),
        error_class=_text(error_class),
        result=None if result is None else _decode_result(result),
        steps=() if steps is None else _decode_steps(steps),
        retry_of=_text(retry_of),
        parent_id=_text(parent_id),
        useful_until=_instant(useful_until),
    )


def due(row: Row) -> Due:
    """Read ``(at, event_id, execution_id)``, the last one None for an event."""
    at, event_id, execution_id = row
    return Due(from_epoch(at), event_id.decode(), _text(execution_id))


def fact(row: Row) -> tuple[str, Any]:
    """Read ``(name, value)``."""
    name, value = row
    return name.decode(), _decode_fact(value)


def notification(row: Row) -> Notification:
    """Read ``(sequence, body)``."""
    sequence, body = row
    told = _decode_notification(body)
    if told.sequence != sequence:
        raise ValueError(f"the notification is that of sequence number {told.sequence}")
    return told


def _steps_json(steps: Sequence[Step]) -> str:
    return _encode(steps).decode()


def _slots_json(slots: Sequence[datetime]) -> str:
    return _encode([slot.timestamp() for slot in slots]).decode()


def _slots(text: bytes) -> tuple[datetime, ...]:
    return tuple(map(from_epoch, _decode_slots(text)))


def _json(value: object, what: str) -> str:
    try:
        return _encode(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise StoreError(f"{what} cannot be stored as JSON: {error}") from error


def _instant(seconds: float | None) -> datetime | None:
    return None if seconds is None else from_epoch(seconds)


def _text(value: bytes | None) -> str | None:
    return None if value is None else value.decode()

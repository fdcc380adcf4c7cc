"""How an execution's record may change: pure steps from pending to a final status.

Whoever changes an execution or an event's state does it with a function of this module, so the
rules about times, counters and words stand in one place.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from alicia_scheduler.api.model import (
    EventExecution,
    EventState,
    ScheduledEvent,
    Status,
    Step,
    Trigger,
    to_wire,
)

__all__ = [
    "closed",
    "describe",
    "finished",
    "new_execution",
    "notification_type",
    "queued",
    "settled",
    "started",
    "waiting",
]

_NOTIFICATION = {
    Status.COMPLETED: "execution_completed",
    Status.FAILED: "execution_failed",
    Status.CANCELLED: "execution_cancelled",
    Status.SKIPPED: "execution_skipped",
    Status.MISSED: "execution_missed",
    Status.INTERRUPTED: "execution_interrupted",
    Status.RUNNING: "execution_started",
}


def new_execution(
    event: ScheduledEvent,
    slot: datetime,
    trigger: Trigger = Trigger.SCHEDULE,
    due: datetime | None = None,
) -> EventExecution:
    """A pending execution of ``event`` for ``slot``, which is due at ``due``."""
    return EventExecution(
        execution_id=str(uuid.uuid4()),
        event_id=event.event_id,
        revision=event.revision,
        scheduled_time=slot,
        due_time=due,
        trigger=trigger,
    )


def closed(
    event: ScheduledEvent,
    slot: datetime,
    status: Status,
    reason: str,
    now: datetime,
    *,
    message: str | None = None,
    trigger: Trigger = Trigger.SCHEDULE,
    result: dict[str, Any] | None = None,
) -> EventExecution:
    """The record of a slot that does not run: skipped or missed, with the reason why."""
    return replace(
        new_execution(event, slot, trigger),
        status=status,
        reason=reason,
        end_time=now,
        error_message=message,
        result=result,
    )


def queued(execution: EventExecution, now: datetime) -> EventExecution:
    """The execution waits: for others of its event, or for a place."""
    return replace(execution, steps=_stepped(execution, "queued", now))


def started(execution: EventExecution, now: datetime) -> EventExecution:
    """An attempt begins. The first one sets ``start_time``, and with it the lateness."""
    retry = execution.next_attempt_at is not None
    retry_count = execution.retry_count + retry
    return replace(
        execution,
        status=Status.RUNNING,
        start_time=execution.start_time or now,
        steps=_stepped(execution, f"attempt {retry_count + 1}" if retry else "started", now),
        retry_count=retry_count,
        next_attempt_at=None,
        reason=None,
    )


def waiting(execution: EventExecution, at: datetime, reason: str, error: str) -> EventExecution:
    """The attempt failed; the next one waits until ``at``."""
    return replace(
        execution,
        status=Status.PENDING,
        next_attempt_at=at,
        reason=reason,
        error_message=error,
    )


def finished(
    execution: EventExecution,
    status: Status,
    now: datetime,
    *,
    result: dict[str, Any] | None = None,
    error: str | None = None,
    reason: str | None = None,
) -> EventExecution:
    """The execution ends; nothing follows."""
    return replace(
        execution,
        status=status,
        end_time=now,
        steps=_stepped(execution, "ended", now),
        result=result,
        error_message=error,
        reason=reason,
        next_attempt_at=None,
    )


def _stepped(execution: EventExecution, name: str, now: datetime) -> tuple[Step, ...]:
    """The steps so far and one more, with its offset from the instant the slot was due."""
    due = execution.due_time or execution.scheduled_time
    before = execution.steps or (Step("due", 0.0),)
    return (*before, Step(name, (now - due).total_seconds()))


def settled(state: EventState, execution: EventExecution) -> EventState:
    """The event's state after an execution that started has ended: one run, one outcome."""
    if execution.start_time is None:
        return state
    failed = execution.status in (Status.FAILED, Status.INTERRUPTED)
    return replace(
        state,
        last_run=execution.start_time,
        last_status=execution.status,
        run_count=state.run_count + 1,
        success_count=state.success_count + (execution.status is Status.COMPLETED),
        failure_count=state.failure_count + failed,
    )


def notification_type(execution: EventExecution) -> str:
    """The ``event_type`` that announces the execution as it stands now."""
    if execution.status is Status.PENDING:
        if execution.next_attempt_at is not None:
            return "execution_retry_scheduled"
        return "execution_queued"
    if execution.status is Status.FAILED and execution.reason == "timeout":
        return "execution_timed_out"
    return _NOTIFICATION[execution.status]


def describe(execution: EventExecution, name: str) -> dict[str, Any]:
    """The ``event_data`` of a notification about an execution: its wire form, the event's name,
    lateness and duration in seconds."""
    data: dict[str, Any] = to_wire(execution)
    data["name"] = name
    data["lateness"] = execution.lateness
    data["duration"] = execution.duration
    return data

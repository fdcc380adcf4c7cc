"""How an execution's record may change: pure steps from pending to a final status.

Whoever changes an execution or an event's state does it with a function of this module, so the
rules about times, counters and words stand in one place.
"""

from __future__ import annotations

import random
import secrets
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from msgspec.structs import replace

from alicia_scheduler.api.model import (
    EventExecution,
    EventState,
    ScheduledEvent,
    Status,
    Step,
    Trigger,
    to_epoch,
    to_wire,
)

__all__ = [
    "FOR_EVER",
    "closed",
    "describe",
    "finished",
    "last_attempt_at",
    "new_execution",
    "notification_type",
    "outdated",
    "queued",
    "refused",
    "rerun",
    "settled",
    "started",
    "too_old",
    "waiting",
]

FOR_EVER = datetime(9999, 12, 31, tzinfo=UTC)
"""``paused_until`` of an event that is paused until somebody resumes it."""

STEP_LIMIT = 100
"""Steps that an execution keeps at the most, however often it is tried."""

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
    useful_until: datetime | None = None,
) -> EventExecution:
    """A pending execution of ``event`` for ``slot``, which is due at ``due``."""
    return EventExecution(
        execution_id=_new_id(slot),
        event_id=event.event_id,
        revision=event.revision,
        scheduled_time=slot,
        due_time=due,
        trigger=trigger,
        useful_until=useful_until,
    )


_made = count(secrets.randbits(26))
_chance = random.Random(secrets.randbits(128)).getrandbits


def _new_id(slot: datetime) -> str:
    """A UUID of version 7 (RFC 9562, with a counter of 26 bits): in the order of the slots and,
    at one slot, of their making. What is written together stands together in a store's index."""
    number = next(_made)
    milliseconds = int(to_epoch(slot) * 1000) & 0xFFFF_FFFF_FFFF
    high = milliseconds << 16 | 0x7000 | number >> 14 & 0x0FFF
    low = 0x8000 | number & 0x3FFF
    text = f"{high:016x}{low:04x}{_chance(48):012x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def rerun(event: ScheduledEvent, execution: EventExecution) -> EventExecution:
    """A new execution for the slot of one that was interrupted. It goes on with the attempt that
    was cut off, so no more attempts are made in all than the event allows."""
    again = new_execution(event, execution.scheduled_time, Trigger.RECOVERY, execution.due_time)
    return replace(
        again,
        retry_count=execution.retry_count,
        retry_of=execution.retry_of,
        parent_id=execution.parent_id,
        useful_until=execution.useful_until,
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


def refused(
    execution: EventExecution,
    reason: str,
    now: datetime,
    message: str,
    result: dict[str, Any] | None = None,
) -> EventExecution:
    """The execution is not let in: its slot is skipped, and the record says why."""
    return replace(
        execution,
        status=Status.SKIPPED,
        reason=reason,
        end_time=now,
        error_message=message,
        result=result,
    )


def queued(execution: EventExecution, now: datetime, waits_for: str) -> EventExecution:
    """The execution waits: for others of its event, for a limit or for a place. One that has
    failed before keeps the reason for that."""
    retry = execution.next_attempt_at is not None
    return replace(
        execution,
        steps=_stepped(execution, "queued", now),
        reason=execution.reason if retry else waits_for,
    )


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


def waiting(
    execution: EventExecution,
    at: datetime,
    reason: str,
    error: str,
    error_class: str | None = None,
) -> EventExecution:
    """The attempt failed; the next one waits until ``at``."""
    return replace(
        execution,
        status=Status.PENDING,
        next_attempt_at=at,
        reason=reason,
        error_message=error,
        error_class=error_class,
    )


def last_attempt_at(event: ScheduledEvent, execution: EventExecution) -> datetime | None:
    """The last instant at which a further attempt may begin (``retry_max_age``), or None."""
    if event.retry_max_age is None:
        return None
    due = execution.due_time or execution.scheduled_time
    return due + timedelta(seconds=event.retry_max_age)


def too_old(event: ScheduledEvent, execution: EventExecution, at: datetime) -> str | None:
    """The sentence why no further attempt may begin at ``at``, or None when one may."""
    last = last_attempt_at(event, execution)
    if last is None or at <= last:
        return None
    return f"no further attempt begins later than retry_max_age = {event.retry_max_age:g} s"


def outdated(
    event: ScheduledEvent, execution: EventExecution, now: datetime
) -> EventExecution | None:
    """The end of an execution that waits for an attempt which may not begin any more, or None.
    The first attempt may always begin: how late, is ``misfire_grace``'s business."""
    if execution.next_attempt_at is None:
        return None
    why = too_old(event, execution, now)
    if why is None:
        return None
    return finished(
        execution,
        Status.FAILED,
        now,
        error="; ".join(filter(None, (execution.error_message, why))),
        error_class=execution.error_class,
        reason=execution.reason,
    )


def finished(
    execution: EventExecution,
    status: Status,
    now: datetime,
    *,
    result: dict[str, Any] | None = None,
    error: str | None = None,
    error_class: str | None = None,
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
        error_class=error_class,
        reason=reason,
        next_attempt_at=None,
    )


def _stepped(execution: EventExecution, name: str, now: datetime) -> tuple[Step, ...]:
    """The steps so far and one more, with its offset from the instant the slot was due. Of very
    many, those in the middle are left out."""
    due = execution.due_time or execution.scheduled_time
    before = execution.steps or (Step("due", 0.0),)
    if len(before) >= STEP_LIMIT:
        before = before[: STEP_LIMIT // 2] + before[1 - STEP_LIMIT // 2 :]
    return (*before, Step(name, (now - due).total_seconds()))


def settled(event: ScheduledEvent, state: EventState, execution: EventExecution) -> EventState:
    """The event's state after an execution that started has ended: one run, one outcome.

    With ``pause_on_failure`` failures in a row the event is paused. What was cancelled or
    interrupted says nothing about the next one and leaves that count alone.
    """
    if execution.start_time is None:
        return state
    failed = execution.status in (Status.FAILED, Status.INTERRUPTED)
    in_row, failing_since = state.failures_in_row, state.failing_since
    if execution.status is Status.FAILED:
        in_row += 1
        failing_since = failing_since or execution.end_time
    elif execution.status is Status.COMPLETED:
        in_row, failing_since = 0, None
    state = replace(
        state,
        last_run=execution.start_time,
        last_status=execution.status,
        run_count=state.run_count + 1,
        success_count=state.success_count + (execution.status is Status.COMPLETED),
        failure_count=state.failure_count + failed,
        failures_in_row=in_row,
        failing_since=failing_since,
    )
    if event.pause_on_failure is None or in_row < event.pause_on_failure:
        return state
    if execution.status is not Status.FAILED or state.paused_until == FOR_EVER:
        return state
    return replace(state, paused_until=FOR_EVER, paused_reason=_paused_because(in_row, execution))


def _paused_because(in_row: int, execution: EventExecution) -> str:
    lines = (execution.error_message or execution.reason or "unknown").splitlines()
    failures = "execution failed" if in_row == 1 else "executions in a row failed"
    return f"{in_row} {failures}; the last error: {lines[0][:200]}"


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

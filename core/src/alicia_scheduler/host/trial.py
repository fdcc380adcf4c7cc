"""Trying an event: what its action would be given now, and, if wanted, one run of it that leaves
no trace in history, counters or schedule."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from alicia_scheduler.api.errors import Permanent, Retryable
from alicia_scheduler.api.model import EventExecution, EventRecord, Status, Trigger, to_wire
from alicia_scheduler.host.registry import action_of
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.kernel.attempt import Outcome, attempt, time_limit
from alicia_scheduler.kernel.prepared import Prepared

__all__ = ["live_run", "trial_execution", "trial_run"]


def trial_execution(record: EventRecord, now: datetime) -> EventExecution:
    """The first attempt for the event's next slot, or for now when it has none. It exists only
    for the trial."""
    return EventExecution(
        execution_id=f"test-{uuid.uuid4()}",
        event_id=record.event.event_id,
        revision=record.event.revision,
        scheduled_time=record.state.next_run or now,
        start_time=now,
        status=Status.RUNNING,
        trigger=Trigger.MANUAL,
    )


async def trial_run(
    resolver: Resolver, record: EventRecord, prepared: Prepared, execution: EventExecution
) -> dict[str, Any]:
    """What the action would be given and do, JSON-ready, without doing it. Templates are
    rendered, secrets fetched and the result checked, as before a run; secrets show as ``***``.

    ``problem`` and ``error_class`` say why the attempt would fail before its action begins.
    """
    answer: dict[str, Any] = {
        "event_id": record.event.event_id,
        "action_type": prepared.action_type,
        "slot": execution.scheduled_time,
        "options": action_of(record.event.action)[1],
        "preview": None,
        "problem": None,
        "error_class": None,
    }
    try:
        answer["options"], answer["preview"] = await resolver.preview(prepared, execution)
    except (Retryable, Permanent) as error:
        answer |= {"problem": str(error), "error_class": error.error_class}
    return dict(resolver.redact(to_wire(answer)))


async def live_run(
    resolver: Resolver, record: EventRecord, prepared: Prepared, execution: EventExecution
) -> dict[str, Any]:
    """Run the action once, under the event's ``timeout``, and tell how that ended, JSON-ready.
    It is no execution of the event: no limit, retry or overlap rule knows of it."""
    scope = time_limit(record.event)
    outcome: Outcome = await attempt(resolver, record.event, prepared, execution, scope)
    return {
        "execution_id": execution.execution_id,
        "status": outcome.status.value,
        "result": outcome.result,
        "error_message": outcome.error,
        "error_class": outcome.error_class,
        "reason": outcome.reason,
        "retryable": outcome.retryable,
    }

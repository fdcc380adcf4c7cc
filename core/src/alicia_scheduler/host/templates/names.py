"""What a template sees: plain data about the event, its execution, and what came before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from alicia_scheduler.api.model import EventExecution, ScheduledEvent

__all__ = ["names_for"]


def names_for(
    event: ScheduledEvent,
    execution: EventExecution,
    *,
    zone: ZoneInfo,
    now: Callable[[], datetime],
    completed: EventExecution | None,
    previous: EventExecution | None,
    parent: EventExecution | None = None,
) -> dict[str, Any]:
    """The values of :data:`~alicia_scheduler.host.templates.words.NAMES`. Instants are aware, in
    the event's zone.

    Args:
        zone: the event's, or the host's.
        now: the kernel's clock.
        completed: the newest execution of the event that completed, for ``last_result``.
        previous: the newest that completed of an earlier slot, where ``window`` begins. Without
            one it begins where the event was made.
        parent: the execution that triggered this one, for events that follow one another.
    """

    def local(instant: datetime) -> datetime:
        return instant.astimezone(zone)

    def local_now() -> datetime:
        return local(now())

    local_now.is_template_function = True  # type: ignore[attr-defined]
    slot = local(execution.scheduled_time)
    begin = previous.scheduled_time if previous else event.created_at
    return {
        "event": {
            "id": event.event_id,
            "name": event.name,
            "description": event.description,
            "tags": list(event.tags),
            "timezone": zone.key,
            "revision": event.revision,
        },
        "execution": {
            "id": execution.execution_id,
            "attempt": execution.attempt,
            "trigger": execution.trigger.value,
            "idempotency_key": execution.idempotency_key,
            "slot": slot,
            "start_time": local(execution.start_time) if execution.start_time else None,
        },
        "attempt": execution.attempt,
        "slot": slot,
        "window": {"start": min(local(begin), slot), "end": slot},
        "last_result": completed.result if completed else None,
        "parent": _parent(parent),
        "now": local_now,
    }


def _parent(parent: EventExecution | None) -> dict[str, Any] | None:
    if parent is None:
        return None
    return {
        "event_id": parent.event_id,
        "execution_id": parent.execution_id,
        "status": parent.status.value,
        "result": parent.result,
        "error_message": parent.error_message,
    }

"""Events and executions as clients of the original write and read them."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import Any

from alicia_scheduler.api import CommandError, EventState, ScheduledEvent
from alicia_service_alicia_bus.schedules import translated

__all__ = ["event_shown", "execution_shown", "new_event", "statuses_meant", "update"]

WRITTEN = frozenset(ScheduledEvent.__struct_fields__) - {
    "event_id",
    "created_at",
    "updated_at",
    "revision",
    "origin",
}
"""Fields of an event that its user writes."""

KEPT = frozenset(
    ("event_id", "created_at", "updated_at", "revision", "origin", *EventState.__struct_fields__)
)
"""Fields that the scheduler keeps: clients send back what they were given."""

EVENT_SHOWN = (
    "event_id",
    "name",
    "description",
    "schedule_type",
    "schedule_config",
    "action",
    "enabled",
    "max_retries",
    "retry_delay",
    "timeout",
    "created_at",
    "updated_at",
    "next_run",
    "last_run",
    "last_status",
    "run_count",
    "success_count",
    "failure_count",
    "tags",
)
"""The original's fields of an event, in its order."""

EXECUTION_SHOWN = (
    "execution_id",
    "event_id",
    "scheduled_time",
    "start_time",
    "end_time",
    "status",
    "result",
    "error_message",
    "retry_count",
)

SHOWN_STATUS = {"skipped": "cancelled", "missed": "cancelled", "interrupted": "failed"}
"""The original knows five statuses; the others as one of these."""

MEANT_STATUS = {
    "pending": ["pending"],
    "running": ["running"],
    "completed": ["completed"],
    "failed": ["failed", "interrupted"],
    "cancelled": ["cancelled", "skipped", "missed"],
}

DEFAULT_QOS = 1
"""The original's code publishes at QoS 1 whatever an action says."""


def new_event(raw: object) -> tuple[dict[str, Any], list[str]]:
    """The definition of a new event for the command ``events/create``, and warnings.

    Raises:
        CommandError: it says too little, or its schedule is none that the original knew.
    """
    if not isinstance(raw, dict) or not raw:
        raise CommandError(
            "invalid_format",
            "event must be an object with the fields of the new event",
            path=("event",),
        )
    event, warnings = _own_fields(raw)
    event_id = raw.get("event_id")
    event["event_id"] = str(uuid.uuid4()) if event_id is None else event_id
    event.setdefault("name", f"mqtt_event_{event['event_id']}"[:200])
    event.setdefault("schedule_type", "once")
    event.setdefault("schedule_config", {})
    event.setdefault("action", {})
    _translate(event, event["schedule_type"])
    return event, warnings


def update(raw: object, before: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The fields that change for the command ``events/update``, and warnings.

    Args:
        before: the event as it is.

    Raises:
        CommandError: as :func:`new_event`.
    """
    if not isinstance(raw, dict) or not raw:
        raise CommandError(
            "invalid_format", "event must be an object with the fields to change", path=("event",)
        )
    changes, warnings = _own_fields(raw)
    _translate(changes, changes.get("schedule_type", before.get("schedule_type", "")))
    return changes, warnings


def _own_fields(raw: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """What the user writes of an event. The original passed over everything else in silence."""
    own, kept, unknown = {}, [], []
    for key, value in raw.items():
        if key in WRITTEN:
            if value is not None:
                own[key] = value
        elif key in KEPT:
            kept.append(key)
        else:
            unknown.append(key[:100])
    warnings = []
    if set(kept) - {"event_id"}:
        warnings.append(f"not set, the scheduler keeps it: {', '.join(sorted(kept))}")
    if unknown:
        warnings.append(f"not known, passed over: {', '.join(sorted(unknown)[:20])}")
    return own, warnings


def _translate(event: dict[str, Any], schedule_type: object) -> None:
    if "schedule_config" in event and isinstance(schedule_type, str):
        config, timezone = translated(schedule_type, event["schedule_config"])
        event["schedule_config"] = config
        if timezone is not None:
            event.setdefault("timezone", timezone)
    action = event.get("action")
    if isinstance(action, dict) and action.get("type", "mqtt_publish") == "mqtt_publish":
        event["action"] = {"type": "mqtt_publish", "qos": DEFAULT_QOS} | action


def event_shown(event: Mapping[str, Any]) -> dict[str, Any]:
    """An event with the original's fields, its statuses and epoch seconds."""
    shown = {key: event.get(key) for key in EVENT_SHOWN}
    return shown | {"last_status": status_shown(event.get("last_status"))}


def execution_shown(execution: Mapping[str, Any]) -> dict[str, Any]:
    """An execution with the original's fields, its statuses and epoch seconds."""
    shown = {key: execution.get(key) for key in EXECUTION_SHOWN}
    return shown | {"status": status_shown(execution.get("status"))}


def status_shown(status: Any) -> Any:
    """A status as one of the original's five."""
    return SHOWN_STATUS.get(status, status)


def statuses_meant(status: object) -> list[str]:
    """The statuses here that one of the original's five stands for.

    Raises:
        CommandError: it is none of them.
    """
    meant = MEANT_STATUS.get(status) if isinstance(status, str) else None
    if meant is None:
        raise CommandError(
            "invalid_format",
            f"{str(status)[:100]!r} is no status",
            hint=f"one of {', '.join(MEANT_STATUS)}",
            path=("status",),
        )
    return meant

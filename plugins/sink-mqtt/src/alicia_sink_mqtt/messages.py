"""What a notification looks like on the bus: pure functions from one to its messages.

Topics and keys are those of the Alicia bus (DESIGN section 8); instants are epoch seconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from alicia_scheduler.api import Notification, to_epoch, to_wire

__all__ = ["messages"]

EVENTS = "events"
RESULTS = "execution_results"
ERRORS = "errors"
RECOVERY = "recovery"

TAKEN = frozenset({EVENTS, RESULTS, ERRORS, RECOVERY, "availability", "command"})
"""Topics below the prefix that carry something else than one type of event."""

LEVEL = re.compile(r"[A-Za-z0-9_.-]{1,128}")
"""A type of event that may be a topic level: no plugin's name can reach out of the prefix."""

FINAL = frozenset(
    {
        "execution_completed",
        "execution_failed",
        "execution_timed_out",
        "execution_cancelled",
        "execution_skipped",
        "execution_missed",
        "execution_interrupted",
    }
)
FAILURES = frozenset({"execution_failed", "execution_timed_out", "execution_interrupted"})

COPIED = (
    "execution_id",
    "event_id",
    "status",
    "start_time",
    "end_time",
    "result",
    "scheduled_time",
    "error_message",
    "error_class",
    "retry_count",
    "reason",
    "trigger",
    "lateness",
)
"""Keys of a result that are those of the execution."""


def messages(notification: Notification) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each message of a notification: the topic below the prefix, and the JSON object."""
    event_type = notification.event_type
    whole = to_wire(notification)
    yield EVENTS, whole
    if event_type not in TAKEN and LEVEL.fullmatch(event_type):
        yield event_type, whole
    data = whole["event_data"]
    timestamp = to_epoch(notification.timestamp)
    if event_type in FINAL:
        yield RESULTS, _result(data, timestamp)
    if event_type in FAILURES:
        error = data.get("error_message") or data.get("reason") or event_type
        yield ERRORS, _error(error, data, timestamp)
    elif event_type == "error":
        yield ERRORS, _error(data.get("message") or data.get("error"), data, timestamp)
    elif event_type == RECOVERY:
        yield RECOVERY, {**data, "status": "recovered", "timestamp": timestamp}


def _result(data: dict[str, Any], timestamp: float) -> dict[str, Any]:
    result = {key: data.get(key) for key in COPIED}
    result["duration"] = data.get("duration") or 0
    result["timestamp"] = timestamp
    return result


def _error(error: object, data: dict[str, Any], timestamp: float) -> dict[str, Any]:
    message = {
        "error": error,
        "class": data.get("class") or data.get("error_class"),
        "event_id": data.get("event_id"),
        "timestamp": timestamp,
    }
    if "execution_id" in data:
        message["execution_id"] = data["execution_id"]
    return message

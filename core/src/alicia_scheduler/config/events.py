"""An event as a person writes it, in a file or through the API, to a :class:`ScheduledEvent`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from alicia_scheduler.api import (
    ConfigError,
    DstGap,
    DstOverlap,
    EventState,
    Misfire,
    Mode,
    OnInterrupted,
    ScheduledEvent,
)
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.plain import plain_all
from alicia_scheduler.config.settings import check_timezone
from alicia_scheduler.config.wording import found, quote

__all__ = ["DEFAULT_ACTION", "EventTable", "event_from_config"]

EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")

KERNEL_FIELDS = frozenset(
    ("event_id", "created_at", "updated_at", "revision", "origin", *EventState.__struct_fields__)
)
"""What the scheduler keeps itself, so nobody may set it."""

DEFAULT_ACTION = "mqtt_publish"

CENTURY = 100 * 366 * 86_400
"""Longest duration in seconds. Beyond it, sums with an instant leave the calendar."""

SIZE_LIMIT = 64 * 1024
"""Bytes of JSON that the definition of an event may have."""

MANY = 1_000_000_000
"""Highest count. It fits into 32 bits, and nothing gets near it."""

Duration = Annotated[float, Meta(ge=0, le=CENTURY)]
PositiveDuration = Annotated[float, Meta(gt=0, le=CENTURY)]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=1, le=MANY)]


class EventTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The fields of a :class:`ScheduledEvent` that are the user's, with their bounds.

    Names, meaning and defaults are those of DESIGN section 3; durations are seconds.
    """

    name: Text | None = None
    schedule_type: Text
    schedule_config: dict[str, Any]
    action: dict[str, Any]
    description: str = ""
    tags: tuple[Text, ...] = ()
    enabled: bool = True
    timezone: str | None = None
    max_retries: Annotated[int, Meta(ge=0, le=MANY)] = 3
    retry_delay: Duration = 60.0
    retry_backoff: Annotated[float, Meta(ge=1)] = 2.0
    retry_max_delay: Duration = 3600.0
    retry_jitter: Annotated[float, Meta(ge=0, le=1)] = 0.1
    retry_max_age: PositiveDuration | None = None
    retry_yields: bool = True
    no_retry_on: tuple[Text, ...] = ()
    pause_on_failure: Count | None = None
    timeout: PositiveDuration = 300.0
    mode: Mode = Mode.SINGLE
    max_executions: Count = 10
    priority: Annotated[int, Meta(ge=-1000, le=1000)] = 0
    limit: Text | None = None
    misfire: Misfire = Misfire.LATEST
    misfire_grace: Duration | None = None
    jitter: Duration = 0.0
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    max_runs: Count | None = None
    exclude: tuple[Text, ...] = ()
    dst_gap: DstGap | None = None
    dst_overlap: DstOverlap | None = None
    on_interrupted: OnInterrupted = OnInterrupted.RERUN
    on_success: tuple[Text, ...] = ()
    on_failure: tuple[Text, ...] = ()
    on_complete: tuple[Text, ...] = ()


def event_from_config(
    event_id: str,
    raw: object,
    *,
    now: datetime,
    origin: str,
    issues: list[ConfigError],
    path: Sequence[str | int],
) -> ScheduledEvent | None:
    """The event that ``raw`` defines, or None with every mistake added to ``issues``.

    ``schedule_config`` and ``action`` are made JSON-ready and are otherwise left to the classes
    of their types. ``name`` defaults to the id, ``action.type`` to ``mqtt_publish``.

    Args:
        event_id: the event's id, in a file the name of its table.
        raw: the table as TOML or JSON gives it.
        now: becomes ``created_at`` and ``updated_at``.
        origin: where the definition comes from: ``file``, ``api``, ``mqtt``, …
        issues: receives the mistakes.
        path: where ``raw`` stands, for the errors.
    """
    path = tuple(path)
    before = len(issues)
    if EVENT_ID.fullmatch(event_id) is None:
        message = f"{quote(event_id)} cannot be the id of an event"
        hint = "1 to 128 of A-Z a-z 0-9 _ . - beginning with a letter or digit"
        issues.append(ConfigError(message, path=path, hint=hint))
    if isinstance(raw, dict):
        raw = _without_kernel_fields(raw, issues, path)
        if isinstance(raw.get("exclude"), list):
            # Dates may be TOML's own.
            raw["exclude"] = plain_all(raw["exclude"], [])
    table = convert_all(raw, EventTable, issues, path=path)
    schedule_config: dict[str, Any] = {}
    action: dict[str, Any] = {}
    if isinstance(raw, dict):
        # Also when another field was wrong: all mistakes of an event are reported at once.
        schedule_config = _plain_table(raw, "schedule_config", issues, path)
        action = _action(_plain_table(raw, "action", issues, path), issues, path)
    check_timezone(raw, issues, path=path)
    if table is not None:
        _check_values(table, issues, path)
    if table is None or len(issues) > before:
        return None
    fields = {name: getattr(table, name) for name in table.__struct_fields__}
    fields |= {"name": table.name or event_id, "schedule_config": schedule_config, "action": action}
    _check_size(fields, issues, path)
    if len(issues) > before:
        return None
    return ScheduledEvent(
        event_id=event_id, created_at=now, updated_at=now, origin=origin, **fields
    )


def _without_kernel_fields(
    raw: dict[str, Any], issues: list[ConfigError], path: tuple[str | int, ...]
) -> dict[str, Any]:
    for key in raw:
        if key in KERNEL_FIELDS:
            message = f"{quote(key)} belongs to the scheduler and cannot be set"
            hint = "the table's name is the id" if key == "event_id" else "remove it"
            issues.append(ConfigError(message, path=(*path, key), hint=hint))
    return {key: value for key, value in raw.items() if key not in KERNEL_FIELDS}


def _plain_table(
    raw: dict[str, Any], key: str, issues: list[ConfigError], path: tuple[str | int, ...]
) -> dict[str, Any]:
    value = raw.get(key)
    if not isinstance(value, dict):
        return {}
    table: dict[str, Any] = plain_all(value, issues, path=(*path, key))
    return table


def _action(
    action: dict[str, Any], issues: list[ConfigError], path: tuple[str | int, ...]
) -> dict[str, Any]:
    kind = action.get("type", DEFAULT_ACTION)
    if not isinstance(kind, str) or not kind:
        message = f"must be the name of an action type, not {found(kind)}"
        hint = f'for example type = "{DEFAULT_ACTION}"'
        issues.append(ConfigError(message, path=(*path, "action", "type"), hint=hint))
    return {**action, "type": kind}


def _check_size(
    fields: dict[str, Any], issues: list[ConfigError], path: tuple[str | int, ...]
) -> None:
    """Every execution, notification and listing carries the definition along or reads it."""
    sizes = {key: len(msgspec.json.encode(value)) for key, value in fields.items()}
    total = sum(sizes.values())
    if total <= SIZE_LIMIT:
        return
    largest = max(sizes, key=lambda key: sizes[key])
    message = f"the event has {total} bytes as JSON, {sizes[largest]} of them here"
    hint = f"an event may have {SIZE_LIMIT} bytes; keep large content where the action can fetch it"
    issues.append(ConfigError(message, path=(*path, largest), hint=hint))


def _check_values(
    table: EventTable, issues: list[ConfigError], path: tuple[str | int, ...]
) -> None:
    """What the types alone do not say."""
    for key in ("name", "schedule_type", "description", "tags"):
        plain_all(getattr(table, key), issues, path=(*path, key))
    if table.starts_at and table.ends_at and table.ends_at <= table.starts_at:
        message = (
            f"must be later than starts_at ({table.starts_at.isoformat()}), "
            f"not {table.ends_at.isoformat()}"
        )
        issues.append(ConfigError(message, path=(*path, "ends_at")))

"""The next slots of a schedule, without a host: ``from alicia_scheduler import preview``."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache

from alicia_scheduler.api.contracts import ScheduleContext
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.zones import load_timezone
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry, build_schedule
from alicia_scheduler.kernel.prepared import Unresolved

__all__ = ["preview"]


@cache
def _installed() -> Registry:
    return Registry(load_plugins(find_candidates()))


def preview(
    schedule_type: str,
    schedule_config: object,
    *,
    timezone: str | None = "UTC",
    after: datetime,
    count: int = 5,
    anchor: datetime | None = None,
) -> list[datetime]:
    """The first ``count`` slots strictly later than ``after``, as aware UTC datetimes.

    Args:
        schedule_type: the name of an installed schedule type.
        schedule_config: its configuration, as an event would write it.
        timezone: IANA name of the zone for local readings; None for none, in which case a
            configuration that needs one is refused.
        after: an aware instant.
        count: how many slots at the most; fewer come back when the schedule ends.
        anchor: the aware instant the schedule was started, from which grids count; default
            ``after``.

    Raises:
        ConfigError: the configuration, the zone or the schedule type is refused, or a type is
            not installed; the message says which and what to do.
    """
    if not isinstance(schedule_type, str):
        raise ConfigError(f"a schedule type is a name, not {type(schedule_type).__name__}")
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ConfigError(f"count is how many slots to give, a whole number, not {count!r}")
    zone = None if timezone is None else load_timezone(timezone)
    instant = _utc(after, "after")
    start = instant if anchor is None else _utc(anchor, "anchor")
    try:
        context = ScheduleContext(timezone=zone, anchor=start)
        schedule = build_schedule(_installed(), schedule_type, schedule_config, context)
    except Unresolved as error:
        raise ConfigError(str(error)) from error
    slots: list[datetime] = []
    following = schedule.next_after(instant)
    while following is not None and len(slots) < count:
        slots.append(following)
        following = schedule.next_after(following)
    return slots


def _utc(instant: datetime, name: str) -> datetime:
    if not isinstance(instant, datetime):
        raise ConfigError(
            f"{name} must be an aware datetime, not {type(instant).__name__}",
            hint=f"{name}=datetime(2026, 1, 1, tzinfo=UTC)",
        )
    if instant.tzinfo is None:
        raise ConfigError(
            f"{name} has no time zone", hint=f"{name}=datetime(…, tzinfo=UTC) is an instant"
        )
    return instant.astimezone(UTC)

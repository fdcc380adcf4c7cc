"""Schedule type ``recurring``: hourly, daily, weekly or monthly at a time of day."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_schedule_recurring.config import RecurringConfig
from alicia_schedule_recurring.schedule import RecurringSchedule
from alicia_scheduler.api import ScheduleType, hookimpl


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer the schedule type."""
    yield ScheduleType(
        name="recurring",
        config=RecurringConfig,
        build=RecurringSchedule.build,
        summary="hourly, daily, weekly or monthly, at one or more times of day by the wall clock",
    )

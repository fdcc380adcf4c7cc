"""Schedule type ``interval``: every so many seconds, minutes, hours or days of elapsed time."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_schedule_interval.config import IntervalConfig
from alicia_schedule_interval.schedule import IntervalSchedule
from alicia_scheduler.api import ScheduleType, hookimpl


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer the schedule type."""
    yield ScheduleType(
        name="interval",
        config=IntervalConfig,
        build=IntervalSchedule.build,
        elapsed=True,
        summary="every so many seconds, minutes, hours or days, on a fixed grid",
    )

"""Schedule type ``once``: a single run at one instant."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_schedule_once.config import OnceConfig
from alicia_schedule_once.schedule import OnceSchedule
from alicia_scheduler.api import ScheduleType, hookimpl


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer the schedule type."""
    yield ScheduleType(
        name="once",
        config=OnceConfig,
        build=OnceSchedule.build,
        summary="a single run at a local time, an ISO 8601 instant or epoch seconds",
    )

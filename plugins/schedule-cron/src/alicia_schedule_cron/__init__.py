"""Schedule type ``cron``: crontab expressions by the wall clock."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_schedule_cron.config import CronConfig
from alicia_scheduler.api import Schedule, ScheduleContext, ScheduleType, hookimpl


def build_cron(config: CronConfig, context: ScheduleContext) -> Schedule:
    """The schedule; its engine is imported here, so that the hook stays cheap."""
    from alicia_schedule_cron.schedule import CronSchedule

    return CronSchedule.build(config, context)


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer the schedule type."""
    yield ScheduleType(
        name="cron",
        config=CronConfig,
        build=build_cron,
        summary="a crontab expression by the wall clock, with five or six (seconds) fields",
    )

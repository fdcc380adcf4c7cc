"""Schedule type ``rrule``: recurrence rules of iCalendar (RFC 5545)."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_schedule_rrule.config import RRuleConfig
from alicia_scheduler.api import Schedule, ScheduleContext, ScheduleType, hookimpl


def build_rrule(config: RRuleConfig, context: ScheduleContext) -> Schedule:
    """The schedule; its engine is imported here, so that the hook stays cheap."""
    from alicia_schedule_rrule.schedule import RRuleSchedule

    return RRuleSchedule.build(config, context)


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer the schedule type."""
    yield ScheduleType(
        name="rrule",
        config=RRuleConfig,
        build=build_rrule,
        summary="a recurrence rule of iCalendar (RFC 5545) with EXDATE and RDATE",
    )

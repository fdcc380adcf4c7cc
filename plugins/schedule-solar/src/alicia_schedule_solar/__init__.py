"""Schedule type ``solar``: sunrise, sunset, twilight, noon, or a height of the sun."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_schedule_solar.config import SolarConfig
from alicia_scheduler.api import Schedule, ScheduleContext, ScheduleType, hookimpl


def build_solar(config: SolarConfig, context: ScheduleContext) -> Schedule:
    """The schedule; its engine is imported here, so that the hook stays cheap."""
    from alicia_schedule_solar.schedule import SolarSchedule

    return SolarSchedule.build(config, context)


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer the schedule type."""
    yield ScheduleType(
        name="solar",
        config=SolarConfig,
        build=build_solar,
        summary="sunrise, sunset, dawn, dusk, noon or a height of the sun, with an offset",
    )

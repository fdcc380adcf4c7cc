"""Alicia Scheduler runs events by the lessons of a school's timetable."""

from __future__ import annotations

from collections.abc import Iterator

from alicia_scheduler.api import ScheduleType, hookimpl

from alicia_timetable.schedule import LessonOptions, build_schedule


@hookimpl
def alicia_schedule_types() -> Iterator[ScheduleType]:
    """Offer ways to say when."""
    yield ScheduleType(
        name="timetable.lessons",
        config=LessonOptions,
        build=build_schedule,
        summary="at the lessons of a timetable, from a TOML file",
    )

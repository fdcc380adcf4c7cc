"""Schedule type ``timetable.lessons``: at the beginning or the end of lessons."""

from __future__ import annotations

import tomllib
from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo

import msgspec
from alicia_scheduler.api import ClockPolicy, ConfigError, ScheduleContext, next_instant

Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class LessonOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which lessons, and when at them.

    Attributes:
        file: the timetable, a TOML file; it is read when the host reads its configuration.
        subject: only lessons of this subject; all when it is left out.
        moment: at the ``start`` of a lesson or at its ``end``.
    """

    file: str
    subject: str | None = None
    moment: Literal["start", "end"] = "start"


class Lesson(msgspec.Struct, forbid_unknown_fields=True):
    subject: str
    days: list[Weekday]
    start: time
    end: time


class Timetable(msgspec.Struct, forbid_unknown_fields=True):
    """What the file holds: the lessons of every week, and the days of terms and holidays."""

    lessons: Annotated[list[Lesson], msgspec.Meta(max_length=200)]
    terms: Annotated[list[tuple[date, date]], msgspec.Meta(max_length=20)]
    holidays: list[tuple[date, date]] = []


@dataclass(frozen=True, slots=True)
class LessonSchedule:
    readings: tuple[datetime, ...]  # all of them, in order
    zone: ZoneInfo
    policy: ClockPolicy
    label: str

    def next_after(self, instant: datetime) -> datetime | None:
        begin = self.readings[0].replace(tzinfo=UTC) - timedelta(
            days=2
        )  # and no clock change before
        return next_instant(self, max(instant, begin), self.zone, self.policy)

    def first_from(self, reading: datetime) -> datetime | None:
        index = bisect_left(self.readings, reading)
        return self.readings[index] if index < len(self.readings) else None

    def describe(self) -> str:
        return self.label


def _days(spans: list[tuple[date, date]]) -> set[date]:
    """The days of all spans. ValueError: one has none, or so many that it must be a mistake."""
    found: set[date] = set()
    for first, last in spans:
        if not timedelta(0) <= last - first < timedelta(days=3660):
            raise ValueError(f"{first} to {last} is no term")
        found |= {first + timedelta(days=number) for number in range((last - first).days + 1)}
    return found


def build_schedule(options: LessonOptions, context: ScheduleContext) -> LessonSchedule:
    """The schedule of some options. ConfigError: the file cannot be read, or names no lesson."""
    try:
        content = tomllib.loads(Path(options.file).read_text("utf-8"))
        table = msgspec.convert(content, Timetable)
        days = _days(table.terms) - _days(table.holidays)
    except (OSError, ValueError) as error:  # all that TOML and msgspec raise is a ValueError
        raise ConfigError(f"no timetable in {options.file}: {error}", path=("file",)) from error
    lessons = [each for each in table.lessons if options.subject in (None, each.subject)]
    readings = {
        datetime.combine(day, getattr(lesson, options.moment))
        for day in days
        for lesson in lessons
        if get_args(Weekday)[day.weekday()] in lesson.days
    }
    if not readings:
        raise ConfigError(f"{options.file} names no such lesson on any day", path=("subject",))
    zone, label = context.require_timezone(), f"{options.moment} of {options.subject or 'all'}"
    policy = ClockPolicy().with_rules(context.dst_gap, context.dst_overlap)
    return LessonSchedule(tuple(sorted(readings)), zone, policy, f"{label} lessons ({zone.key})")

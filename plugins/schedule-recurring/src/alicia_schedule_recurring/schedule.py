"""The schedule of type ``recurring``."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

from alicia_schedule_recurring.config import RecurringConfig
from alicia_schedule_recurring.days import Dates, EveryDay, MonthDays, WeekDays
from alicia_schedule_recurring.times import parse_times
from alicia_scheduler.api import (
    ClockPolicy,
    ConfigError,
    OnGap,
    OnRepeat,
    Readings,
    ScheduleContext,
    next_instant,
)

__all__ = ["RecurringSchedule"]

ONE_DAY = timedelta(days=1)
ONE_HOUR = timedelta(hours=1)

ONCE_A_DATE = ClockPolicy(OnGap.AFTER, OnRepeat.FIRST)
"""Each time of day runs once on each date: first pass, or the end of a gap of any size."""

WITH_THE_CLOCK = ClockPolicy(OnGap.SKIP, OnRepeat.BOTH)
"""Every hour that the clock shows."""


@dataclass(frozen=True, slots=True)
class RecurringSchedule:
    """Runs at readings of the wall clock of a zone."""

    readings: Readings
    zone: ZoneInfo
    policy: ClockPolicy
    label: str

    @classmethod
    def build(cls, config: RecurringConfig, context: ScheduleContext) -> RecurringSchedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: a time or a day cannot be read, or there is no zone.
        """
        zone = context.require_timezone()
        if config.frequency == "hourly":
            policy = WITH_THE_CLOCK.with_rules(context.dst_gap, context.dst_overlap)
            return cls(TopOfHour(), zone, policy, f"every hour ({zone.key})")
        dates = _dates(config)
        times = _times(config)
        at = ", ".join(f"{time:%H:%M:%S}".removesuffix(":00") for time in times)
        label = f"{dates.describe()} at {at} ({zone.key})"
        policy = ONCE_A_DATE.with_rules(context.dst_gap, context.dst_overlap)
        return cls(TimesOnDates(dates, times), zone, policy, label)

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly later than ``instant``."""
        return next_instant(self.readings, instant, self.zone, self.policy)

    def describe(self) -> str:
        """Days, times and zone."""
        return self.label


def _dates(config: RecurringConfig) -> Dates:
    try:
        if config.days_of_week:
            return WeekDays.parse(config.days_of_week)
    except ConfigError as error:
        raise error.under("days_of_week") from None
    try:
        if config.days_of_month:
            return MonthDays.parse(config.days_of_month, clamp=config.short_month == "clamp")
    except ConfigError as error:
        raise error.under("days_of_month") from None
    return EveryDay()


def _times(config: RecurringConfig) -> tuple[time, ...]:
    if config.time_of_day is msgspec.UNSET:
        return (time(),)
    try:
        return parse_times(config.time_of_day)
    except ConfigError as error:
        raise error.under("time_of_day") from None


@dataclass(frozen=True, slots=True)
class TimesOnDates:
    """The readings at some times of day (ascending) on some dates."""

    dates: Dates
    times: tuple[time, ...]

    def first_from(self, reading: datetime) -> datetime | None:
        """The first of the readings that is not earlier than ``reading``, or None."""
        day = self.dates.first_from(reading.date())
        if day == reading.date():
            index = bisect_left(self.times, reading.time())
            if index < len(self.times):
                return datetime.combine(day, self.times[index])
            day = None if day == date.max else self.dates.first_from(day + ONE_DAY)
        return None if day is None else datetime.combine(day, self.times[0])


@dataclass(frozen=True, slots=True)
class TopOfHour:
    """The readings at minute 0 of every hour."""

    def first_from(self, reading: datetime) -> datetime | None:
        """The first of the readings that is not earlier than ``reading``, or None."""
        hour = reading.replace(minute=0, second=0, microsecond=0)
        try:
            return hour if hour == reading else hour + ONE_HOUR
        except OverflowError:
            return None

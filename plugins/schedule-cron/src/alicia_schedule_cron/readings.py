"""The local readings that an expression names, in order: croniter for the dates, sets for the time.

croniter is only ever given explicit value lists and naive datetimes, and only the three fields
that make a date. In this use it is right (and what it answers is remembered, as most questions
are about the same day); its own ideas of ranges, day rule and clock changes are never asked.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import MAXYEAR, date, datetime, time, timedelta

from croniter import CroniterBadDateError, croniter

from alicia_schedule_cron.expression import Expression
from alicia_schedule_cron.fields import DAY, MONTH, WEEKDAY, Field, FieldRule
from alicia_scheduler.api import ConfigError

__all__ = ["CronReadings"]

MIDNIGHT = time()
MINUTE = timedelta(minutes=1)
ONE_DAY = timedelta(days=1)
SECOND = timedelta(seconds=1)

PROBE = date(2000, 1, 1)
"""Where the search begins that shows whether an expression has any date at all. The 28 years from
here hold every kind of year there is (leap or not, beginning on any weekday), and croniter looks
50 years ahead, so what it does not find never comes. Real matches are at most 40 years apart."""

LAST_SEARCHED_YEAR = MAXYEAR - 50
"""From later years, croniter's search may run into the end of the calendar."""


class CronReadings:
    """The readings that match an expression.

    Raises:
        ConfigError: no date ever matches.
    """

    def __init__(self, expression: Expression) -> None:
        self._dates = _Dates(expression)
        self._hours = expression.hours.values
        self._minutes = expression.minutes.values
        self._seconds = expression.seconds.values

    def first_from(self, reading: datetime) -> datetime | None:
        """The first matching reading that is not earlier than ``reading``, or None."""
        if reading.microsecond:
            try:
                reading = reading.replace(microsecond=0) + SECOND
            except OverflowError:
                return None
        day = self._dates.first_from(reading.date())
        if day == reading.date():
            at = self._time_from(reading.time())
            if at is not None:
                return datetime.combine(day, at)
            day = None if day == date.max else self._dates.first_from(day + ONE_DAY)
        if day is None:
            return None
        return datetime.combine(day, time(self._hours[0], self._minutes[0], self._seconds[0]))

    def _time_from(self, start: time) -> time | None:
        """The first matching time of day that is not earlier than ``start``."""
        for hour in self._hours[bisect_left(self._hours, start.hour) :]:
            if hour > start.hour:
                return time(hour, self._minutes[0], self._seconds[0])
            for minute in self._minutes[bisect_left(self._minutes, start.minute) :]:
                if minute > start.minute:
                    return time(hour, minute, self._seconds[0])
                index = bisect_left(self._seconds, start.second)
                if index < len(self._seconds):
                    return time(hour, minute, self._seconds[index])
        return None


class _Dates:
    """The dates that match the day, month and weekday fields: a union of croniter expressions.

    One expression is enough when one of the day fields is open. The either-rule, and days such
    as ``15W`` that croniter only takes alone, make several.
    """

    def __init__(self, expression: Expression) -> None:
        days = _alternatives(expression.days, DAY)
        weekdays = _alternatives(expression.weekdays, WEEKDAY)
        if expression.days_match_both:
            pairs = [(day, weekday) for day in days for weekday in weekdays]
        else:
            pairs = [(day, "*") for day in days] + [("*", weekday) for weekday in weekdays]
        (months,) = _alternatives(expression.months, MONTH)
        candidates = [
            croniter(f"0 0 {day} {months} {weekday}", ret_type=datetime, day_or=False)
            for day, weekday in pairs
        ]
        self._engines = [engine for engine in candidates if _first_from(engine, PROBE)]
        if not self._engines:
            raise ConfigError(
                "no date in any year matches the expression",
                hint="compare its day of month with its months; with a '*' in front of one day "
                "field, a date must match both",
            )
        self._known: tuple[tuple[date, date], ...] = ()

    def first_from(self, day: date) -> date | None:
        """The first matching date that is not earlier than ``day``, or None."""
        for asked, answer in self._known:
            if asked <= day <= answer:
                return answer
        found = [match for engine in self._engines if (match := _first_from(engine, day))]
        if not found:
            return None
        # Two are enough: today and the date after it are what a schedule is asked for.
        self._known = (*self._known[-1:], (day, min(found)))
        return min(found)


def _alternatives(field: Field, rule: FieldRule) -> list[str]:
    """The field in croniter's language, as texts of which any may match."""
    top = 6 if rule is WEEKDAY else rule.last
    if len(field.values) == top - rule.first + 1:
        return ["*"]
    plain = [",".join(str(value) for value in field.values)] if field.values else []
    if rule is WEEKDAY and field.specials:
        return [*plain, ",".join(field.specials)]
    return [*plain, *field.specials]


def _first_from(engine: croniter, day: date) -> date | None:
    """The first date of ``engine`` that is not earlier than ``day``, or None when there is none
    within 50 years or before the year 10000."""
    start = datetime.combine(max(day, date.min + ONE_DAY), MIDNIGHT) - MINUTE
    try:
        match: datetime = engine.get_next(start_time=start)
    except (CroniterBadDateError, OverflowError):
        return None
    except ValueError:
        # From dateutil, underneath, at the end of the calendar.
        if day.year > LAST_SEARCHED_YEAR:
            return None
        raise
    return match.date()

"""The local readings that an expression names, in order."""

# ruff: noqa: DTZ001  # readings have no zone

from __future__ import annotations

from datetime import datetime

from alicia_schedule_cron.days import Days
from alicia_schedule_cron.expression import Expression

__all__ = ["CronReadings"]

NONE = -1
"""In a table: there is no value from here on."""


class CronReadings:
    """The readings that match an expression.

    Each field of the time has a table that answers with its first value from a given one on, so
    finding the next reading takes a few look-ups.

    Raises:
        ConfigError: no date ever matches.
    """

    __slots__ = ("_days", "_first", "_hours", "_minutes", "_seconds")

    def __init__(self, expression: Expression) -> None:
        self._days = Days(expression)
        self._hours = _table(expression.hours.values, 24)
        self._minutes = _table(expression.minutes.values, 60)
        self._seconds = _table(expression.seconds.values, 60)
        self._first = (self._hours[0], self._minutes[0], self._seconds[0])

    def first_from(self, reading: datetime) -> datetime | None:
        """The first matching reading that is not earlier than ``reading``, or None."""
        year, month, day = reading.year, reading.month, reading.day
        found = self._days.first_from(year, month, day)
        if found == (year, month, day):
            hour, minute, second = self._time_from(reading)
            if hour != NONE:
                return datetime(year, month, day, hour, minute, second)
            found = self._days.first_from(year, month, day + 1)
        if found is None:
            return None
        return datetime(*found, *self._first)

    def _time_from(self, reading: datetime) -> tuple[int, int, int]:
        """The first matching time of day that is not earlier than that of ``reading``; hour -1
        when there is none on that day."""
        hour, minute = reading.hour, reading.minute
        _, first_minute, first_second = self._first
        if self._hours[hour] == hour:
            if self._minutes[minute] == minute:
                second = self._seconds[reading.second + (reading.microsecond > 0)]
                if second != NONE:
                    return hour, minute, second
            later = self._minutes[minute + 1]
            if later != NONE:
                return hour, later, first_second
        return self._hours[hour + 1], first_minute, first_second


def _table(values: tuple[int, ...], size: int) -> tuple[int, ...]:
    """For each number up to ``size``, the first of the values that is not less."""
    return tuple(
        next((value for value in values if value >= start), NONE) for start in range(size + 1)
    )

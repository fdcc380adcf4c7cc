"""The days of a month that an expression selects.

Which days these are depends on two things only: on which weekday the month begins, and how long it
is. So there are 28 answers at the most, each worked out once and kept as a set of bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import MAXYEAR, date

from alicia_schedule_cron.expression import Expression
from alicia_schedule_cron.fields import Field
from alicia_scheduler.api import ConfigError

__all__ = ["Days"]

SATURDAY, SUNDAY = 6, 0

LENGTHS = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
"""Days of each month, by its number, in a common year."""


class Days:
    """The dates that match the day, month and weekday fields of an expression.

    Raises:
        ConfigError: no date ever matches.
    """

    __slots__ = ("_both", "_by_shape", "_days", "_months", "_next_month", "_weekdays")

    def __init__(self, expression: Expression) -> None:
        self._days = expression.days
        self._weekdays = expression.weekdays
        self._both = expression.days_match_both
        self._months = expression.months.values
        self._next_month = tuple(
            next((month for month in self._months if month >= start), 0) for start in range(14)
        )
        self._by_shape: dict[tuple[int, int], int] = {}
        # In 400 years every month begins on every weekday, and so does every leap February.
        if not any(
            self._of_shape(first, length)
            for month in self._months
            for length in ({28, 29} if month == 2 else {LENGTHS[month]})
            for first in range(7)
        ):
            raise ConfigError(
                "no date in any year matches the expression",
                hint="compare its day of month with its months; with a '*' in front of one day "
                "field, a date must match both",
            )

    def first_from(self, year: int, month: int, day: int) -> tuple[int, int, int] | None:
        """Year, month and day of the first matching date that is not earlier than this one; None
        beyond the year 9999. ``day`` may be one more than the month has.

        The longest way is from one 29 February that is a certain weekday to the next: 40 years.
        """
        first_month = self._next_month[month]
        if first_month == month:
            rest = self.in_month(year, month) >> day
            if rest:
                return year, month, day + _lowest(rest)
            first_month = self._next_month[month + 1]
        while True:
            if not first_month:
                year, first_month = year + 1, self._months[0]
            if year > MAXYEAR:
                return None
            found = self.in_month(year, first_month)
            if found:
                return year, first_month, _lowest(found)
            first_month = self._next_month[first_month + 1]

    def in_month(self, year: int, month: int) -> int:
        """The matching days of a month that matches, as bits: bit 1 is the first."""
        leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        return self._of_shape(date(year, month, 1).isoweekday() % 7, LENGTHS[month] + leap)

    def _of_shape(self, first: int, length: int) -> int:
        """The matching days of a month that begins on the weekday ``first`` (Sunday is 0)."""
        bits = self._by_shape.get((first, length))
        if bits is None:
            every = (1 << (length + 1)) - 2
            by_day = _bits(_days(self._days, first, length)) & every
            by_weekday = _bits(_weekdays(self._weekdays, first, length)) & every
            bits = by_day & by_weekday if self._both else by_day | by_weekday
            self._by_shape[first, length] = bits
        return bits


def _days(field: Field, first: int, length: int) -> Iterator[int]:
    """What the day-of-month field selects in a month of this shape."""
    yield from field.values
    for special in field.specials:
        yield length if special == "l" else _workday(int(special[:-1]), first, length)


def _workday(day: int, first: int, length: int) -> int:
    """The Monday to Friday nearest to a day, in the same month. A day behind the end of the month
    stands for its last one."""
    day = min(day, length)
    weekday = (first + day - 1) % 7
    if weekday == SATURDAY:
        return day - 1 if day > 1 else day + 2
    if weekday == SUNDAY:
        return day + 1 if day < length else day - 2
    return day


def _weekdays(field: Field, first: int, length: int) -> Iterator[int]:
    """What the day-of-week field selects in a month of this shape."""
    for weekday in field.values:
        yield from range(1 + (weekday - first) % 7, length + 1, 7)
    for special in field.specials:
        if special.startswith("l"):
            yield length - (first + length - 1 - int(special[1:])) % 7
        else:
            weekday, nth = map(int, special.split("#"))
            yield 1 + (weekday - first) % 7 + 7 * (nth - 1)


def _bits(days: Iterator[int]) -> int:
    bits = 0
    for day in days:
        bits |= 1 << day
    return bits


def _lowest(bits: int) -> int:
    """The place of the lowest bit that is set."""
    return (bits & -bits).bit_length() - 1

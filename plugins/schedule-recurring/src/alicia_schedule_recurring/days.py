"""The dates that a frequency selects."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import MAXYEAR, date, timedelta
from typing import Protocol

from alicia_scheduler.api import ConfigError

__all__ = ["Dates", "EveryDay", "MonthDays", "WeekDays"]

NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
LAST_DAY = -1


class Dates(Protocol):
    """A set of dates that can be searched upwards."""

    def first_from(self, day: date) -> date | None:
        """The first selected date that is not earlier than ``day``, or None before year 10000."""
        ...

    def describe(self) -> str:
        """The dates in words."""
        ...


class EveryDay:
    """Every date."""

    def first_from(self, day: date) -> date | None:
        """``day`` itself."""
        return day

    def describe(self) -> str:
        """``every day``."""
        return "every day"


@dataclass(frozen=True, slots=True)
class WeekDays:
    """The dates on some days of the week, 0 = Monday … 6 = Sunday, as Python counts them."""

    days: tuple[int, ...]

    @classmethod
    def parse(cls, values: Sequence[int | str]) -> WeekDays:
        """The days that are written as numbers from 0 (Monday) or as names ``mon`` … ``sun``.

        Raises:
            ConfigError: one is neither.
        """
        return cls(tuple(sorted({_weekday(value, i) for i, value in enumerate(values)})))

    def first_from(self, day: date) -> date | None:
        """See :class:`Dates`."""
        ahead = min((weekday - day.weekday()) % 7 for weekday in self.days)
        try:
            return day + timedelta(days=ahead)
        except OverflowError:
            return None

    def describe(self) -> str:
        """``every Monday, Friday``."""
        return "every " + ", ".join(FULL_NAMES[day] for day in self.days)


def _weekday(value: int | str, index: int) -> int:
    if isinstance(value, int) and 0 <= value <= 6:
        return value
    if isinstance(value, str) and value.lower() in NAMES:
        return NAMES.index(value.lower())
    if value == 7:
        hint = "Sunday is 6 here (Monday is 0); or write its name, sun"
    elif isinstance(value, str) and value[:3].lower() in NAMES:
        hint = f"names have three letters: {value[:3].lower()}"
    else:
        hint = f"write 0 (Monday) to 6 (Sunday), or {', '.join(NAMES)}"
    raise ConfigError(f"{value!r} is no day of the week", path=(index,), hint=hint)


@dataclass(frozen=True, slots=True)
class MonthDays:
    """The dates on some days of the month.

    Attributes:
        days: 1 to 31, or -1 for the last day of the month.
        clamp: whether a day that a month does not have means its last day instead of nothing.
    """

    days: tuple[int, ...]
    clamp: bool

    @classmethod
    def parse(cls, values: Sequence[int], *, clamp: bool) -> MonthDays:
        """The days that are written as numbers.

        Raises:
            ConfigError: one is neither 1 to 31 nor -1.
        """
        for index, value in enumerate(values):
            if value != LAST_DAY and not 1 <= value <= 31:
                raise ConfigError(
                    f"{value} is no day of the month",
                    path=(index,),
                    hint="write 1 to 31, or -1 for the last day",
                )
        return cls(tuple(sorted(set(values))), clamp)

    def first_from(self, day: date) -> date | None:
        """See :class:`Dates`."""
        year, month, earliest = day.year, day.month, day.day
        while year <= MAXYEAR:
            candidates = [n for n in self._days_in(year, month) if n >= earliest]
            if candidates:
                return date(year, month, min(candidates))
            year, month, earliest = (year, month + 1, 1) if month < 12 else (year + 1, 1, 1)
        return None

    def _days_in(self, year: int, month: int) -> list[int]:
        length = monthrange(year, month)[1]
        return [
            length if day == LAST_DAY or day > length else day
            for day in self.days
            if day <= length or self.clamp
        ]

    def describe(self) -> str:
        """``every month on day 1, day 15, the last day``."""
        beyond = " (or the month's last)" if self.clamp else ""
        named = [f"day {day}{beyond if day > 28 else ''}" for day in self.days if day != LAST_DAY]
        last = ["the last day"] if LAST_DAY in self.days else []
        return "every month on " + ", ".join(named + last)

"""The dates that the parts of a rule allow, one by one."""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from alicia_schedule_rrule.rule import Rule

__all__ = ["Dates"]

ONE_DAY = timedelta(days=1)

DAYS_AHEAD = 41 * 366
"""How far a date is searched for. When one comes at all, it comes within 41 years: the rarest is
29 February on a given weekday, around a century year without a leap day."""


@dataclass(frozen=True, slots=True)
class Dates:
    """The dates that BYMONTH, BYMONTHDAY, BYYEARDAY and BYDAY allow; an empty part allows all."""

    months: frozenset[int]
    month_days: frozenset[int]
    year_days: frozenset[int]
    weekdays: frozenset[int]

    @classmethod
    def of(cls, rule: Rule) -> Dates:
        """The dates of a rule whose period is a day or shorter."""

        def part(name: str) -> Iterable[int]:
            return rule.numbers.get(name, ())

        return cls(
            frozenset(part("BYMONTH")),
            frozenset(part("BYMONTHDAY")),
            frozenset(part("BYYEARDAY")),
            frozenset(day for _, day in rule.days),
        )

    def first_from(self, day: date) -> date | None:
        """The first date that is not earlier than ``day``; None when none comes."""
        try:
            for _ in range(DAYS_AHEAD):
                if self._allows(day):
                    return day
                day += ONE_DAY
        except OverflowError:
            pass
        return None

    def _allows(self, day: date) -> bool:
        if self.months and day.month not in self.months:
            return False
        if self.weekdays and day.weekday() not in self.weekdays:
            return False
        if self.month_days:
            from_end = day.day - monthrange(day.year, day.month)[1] - 1
            if self.month_days.isdisjoint((day.day, from_end)):
                return False
        if self.year_days:
            number = day.timetuple().tm_yday
            from_end = number - (366 if isleap(day.year) else 365) - 1
            return not self.year_days.isdisjoint((number, from_end))
        return True

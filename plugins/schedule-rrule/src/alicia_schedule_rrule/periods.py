"""The readings of rules whose period is longer than a day: dateutil, started near the answer.

dateutil walks from DTSTART, which takes seconds for a rule of ten years' standing. So the part of
the rule that comes from DTSTART is written out, and then DTSTART is moved ahead by whole
intervals, which changes nothing else. Each walk has an end, as dateutil looks for what never comes
until the year 10000.
"""

# ruff: noqa: DTZ001, DTZ901  # readings have no zone

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import MAXYEAR, date, datetime
from math import prod

from dateutil import rrule as dateutil

from alicia_schedule_rrule.rule import Rule

__all__ = ["LongPeriods"]

PERIODS_AHEAD = {"YEARLY": 10_000, "MONTHLY": 5_000, "WEEKLY": 10_000}
"""How many periods are asked for at a time. The calendar repeats after 400 years; an INTERVAL
stretches that."""

DAYS = {"YEARLY": 366, "MONTHLY": 31, "WEEKLY": 7}
READINGS_AHEAD = 1_000_000
"""How many readings may be looked at in one go, whether or not the rule lets them through."""

PERIODS_AT_LEAST = {"YEARLY": 41, "MONTHLY": 41 * 12, "WEEKLY": 41 * 53}
"""Periods that are asked for however full they are: 29 February on a weekday comes at the latest
after 40 years."""


class LongPeriods:
    """The readings of a rule with FREQ from YEARLY to WEEKLY, without its COUNT and UNTIL.

    Args:
        rule: the rule.
        dtstart: the reading it starts at.
    """

    def __init__(self, rule: Rule, dtstart: datetime) -> None:
        self._rule = written_out(rule, dtstart)
        self._dtstart = dtstart

    def readings_from(self, reading: datetime) -> Iterator[datetime]:
        """The readings that are not earlier than ``reading``, ascending. The iterator ends when
        none is near enough (:data:`PERIODS_AHEAD`)."""
        earliest = max(reading, self._dtstart)
        period = self._period_of(earliest)
        ahead = self._periods_ahead() * self._rule.interval
        while (start := self._start_of(period)) is not None:
            end = self._start_of(period + ahead) or datetime.max
            found = False
            for occurrence in self._walk(start, end):
                if earliest <= occurrence < end:
                    found = True
                    yield occurrence
            if not found:
                return
            period += ahead

    def _periods_ahead(self) -> int:
        """How many periods to ask for, so that those full of times of day cost little more."""
        frequency, numbers = self._rule.frequency, self._rule.numbers
        times = prod(len(numbers[name]) for name in ("BYHOUR", "BYMINUTE", "BYSECOND"))
        affordable = READINGS_AHEAD // (DAYS[frequency] * times)
        return max(PERIODS_AT_LEAST[frequency], min(PERIODS_AHEAD[frequency], affordable))

    def _walk(self, start: datetime, end: datetime) -> Iterator[datetime]:
        rule = self._rule
        numbers = {name.lower(): values for name, values in rule.numbers.items()}
        days = [dateutil.weekday(day, ordinal or None) for ordinal, day in _ordinals(rule)]
        walk: Iterator[datetime] = iter(
            dateutil.rrule(
                getattr(dateutil, rule.frequency),
                dtstart=start,
                interval=rule.interval,
                wkst=rule.week_start,
                until=end,
                byweekday=days or None,
                **numbers,
            )
        )
        return walk

    def _period_of(self, reading: datetime) -> int:
        """The number of the last period of the rule that is not behind ``reading``'s."""
        first = self._number(self._dtstart)
        behind = (self._number(reading) - first) % self._rule.interval
        return self._number(reading) - behind

    def _number(self, reading: datetime) -> int:
        """The year, month or week of a reading, as a number."""
        match self._rule.frequency:
            case "YEARLY":
                return reading.year
            case "MONTHLY":
                return reading.year * 12 + reading.month - 1
            case _:
                return (reading.toordinal() - 1 - self._rule.week_start) // 7

    def _start_of(self, number: int) -> datetime | None:
        """When a period begins; None behind the year 9999."""
        match self._rule.frequency:
            case "YEARLY":
                return datetime(number, 1, 1) if number <= MAXYEAR else None
            case "MONTHLY":
                year, month = divmod(number, 12)
                return datetime(year, month + 1, 1) if year <= MAXYEAR else None
            case _:
                ordinal = max(1, number * 7 + 1 + self._rule.week_start)
        if ordinal > date.max.toordinal():
            return None
        return datetime.fromordinal(ordinal)


def _ordinals(rule: Rule) -> list[tuple[int, int]]:
    """BYDAY for dateutil: beside numbered days it needs every plain one numbered too, as it takes
    the two kinds for conditions that both must hold."""
    if not any(ordinal for ordinal, _ in rule.days):
        return list(rule.days)
    most = 53 if rule.frequency == "YEARLY" and "BYMONTH" not in rule.numbers else 5
    return [
        (number, day)
        for ordinal, day in rule.days
        for number in ([ordinal] if ordinal else range(1, most + 1))
    ]


def written_out(rule: Rule, dtstart: datetime) -> Rule:
    """The rule with what DTSTART implies as parts of its own (RFC 5545: "information missing from
    the rule is taken from DTSTART")."""
    numbers = dict(rule.numbers)
    for name, value in (
        ("BYHOUR", dtstart.hour),
        ("BYMINUTE", dtstart.minute),
        ("BYSECOND", dtstart.second),
    ):
        numbers.setdefault(name, (value,))
    days = rule.days
    if not days and not numbers.keys() & {"BYMONTHDAY", "BYYEARDAY"}:
        if rule.frequency == "WEEKLY" or "BYWEEKNO" in numbers:
            days = ((0, dtstart.weekday()),)
        elif rule.frequency in {"MONTHLY", "YEARLY"}:
            numbers["BYMONTHDAY"] = (dtstart.day,)
            if rule.frequency == "YEARLY":
                numbers.setdefault("BYMONTH", (dtstart.month,))
    return replace(rule, days=days, numbers=numbers)

"""The readings of rules whose period is a day or shorter: a grid, and leaps on it.

The periods are multiples of INTERVAL days, hours, minutes or seconds from DTSTART, so the next
one is found by division. Where a part of the rule forbids it, the search leaps to the end of what
is forbidden: dateutil, which goes period by period, takes seconds for what is far away.
"""

# ruff: noqa: DTZ901  # readings have no zone

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from datetime import datetime, time, timedelta
from itertools import product

from alicia_schedule_rrule.dates import Dates
from alicia_schedule_rrule.rule import Rule

__all__ = ["UNITS", "Clockwork"]

UNITS = {
    "DAILY": timedelta(days=1),
    "HOURLY": timedelta(hours=1),
    "MINUTELY": timedelta(minutes=1),
    "SECONDLY": timedelta(seconds=1),
}

CYCLE = {"BYHOUR": 24, "BYMINUTE": 60, "BYSECOND": 60}

MAX_LEAPS = 5_000
"""Most steps of a search; a rule whose next occurrence takes more has ended."""


class Clockwork:
    """The readings of a rule with FREQ from DAILY to SECONDLY, without its COUNT and UNTIL.

    Args:
        rule: the rule.
        dtstart: the reading it starts at.
    """

    def __init__(self, rule: Rule, dtstart: datetime) -> None:
        self._unit = UNITS[rule.frequency]
        self._dtstart = dtstart
        self._grid = dtstart - (dtstart - datetime.min) % self._unit
        try:
            self._period = rule.interval * self._unit
        except OverflowError:
            # Longer than there is time: then the first period is the only one.
            self._period = timedelta.max
        self._offsets = _offsets(rule, dtstart)
        self._allowed = _allowed(rule)
        self._dates = Dates.of(rule)
        self._known: tuple[datetime, datetime | None] | None = None

    def readings_from(self, reading: datetime) -> Iterator[datetime]:
        """The readings that are not earlier than ``reading``, ascending. The iterator ends when
        none is near enough (:data:`MAX_LEAPS`)."""
        earliest = max(reading, self._dtstart)
        if not self._offsets:
            return  # BYSETPOS names a position that no period has
        try:
            start = self._period_from(earliest - self._unit + timedelta.resolution)
            while (period := self._first_allowed(start)) is not None:
                for offset in self._offsets:
                    if period + offset >= earliest:
                        yield period + offset
                start = period + self._period
        except OverflowError:
            return

    def _period_from(self, reading: datetime) -> datetime:
        """The start of the first period that does not begin before ``reading``."""
        return self._grid + max(0, -((self._grid - reading) // self._period)) * self._period

    def _first_allowed(self, start: datetime) -> datetime | None:
        """The start of the first period from ``start`` on that no part of the rule forbids."""
        for _ in range(MAX_LEAPS):
            leap = self._leap(start)
            if leap is None:
                return None
            if leap == start:
                return start
            start = self._period_from(leap)
        return None

    def _leap(self, start: datetime) -> datetime | None:
        """The first reading from ``start`` on which the parts allow one by one; None for never."""
        midnight = start.replace(hour=0, minute=0, second=0)
        day = self._date_from(midnight)
        if day is None or day > midnight:
            return day
        for name, value, unit in (
            ("BYHOUR", start.hour, timedelta(hours=1)),
            ("BYMINUTE", start.minute, timedelta(minutes=1)),
            ("BYSECOND", start.second, timedelta(seconds=1)),
        ):
            allowed = self._allowed.get(name)
            if allowed is None or value in allowed:
                continue
            index = bisect_left(allowed, value)
            begin = start - (start - datetime.min) % unit
            if index < len(allowed):
                return begin + (allowed[index] - value) * unit
            return begin + (CYCLE[name] - value) * unit
        return start

    def _date_from(self, midnight: datetime) -> datetime | None:
        """The first allowed date from one on, as its midnight, or None. The last answer is kept,
        as most questions are about the same date."""
        if self._known is None or self._known[0] != midnight:
            day = self._dates.first_from(midnight.date())
            self._known = midnight, None if day is None else datetime.combine(day, time())
        return self._known[1]


def _allowed(rule: Rule) -> dict[str, tuple[int, ...]]:
    """The parts that limit which periods there are, rather than what is in them."""
    finer = {
        "DAILY": (),
        "HOURLY": ("BYHOUR",),
        "MINUTELY": ("BYHOUR", "BYMINUTE"),
        "SECONDLY": tuple(CYCLE),
    }
    return {name: rule.numbers[name] for name in finer[rule.frequency] if name in rule.numbers}


def _offsets(rule: Rule, dtstart: datetime) -> tuple[timedelta, ...]:
    """Where in a period the occurrences are, counted from its start."""
    within = {"DAILY": 3, "HOURLY": 2, "MINUTELY": 1, "SECONDLY": 0}[rule.frequency]
    parts = (("BYHOUR", dtstart.hour), ("BYMINUTE", dtstart.minute), ("BYSECOND", dtstart.second))
    values = [
        rule.numbers.get(name, (implied,)) if place >= len(parts) - within else (0,)
        for place, (name, implied) in enumerate(parts)
    ]
    offsets = [timedelta(hours=h, minutes=m, seconds=s) for h, m, s in product(*values)]
    positions = rule.numbers.get("BYSETPOS")
    if positions is None:
        return tuple(offsets)
    count = len(offsets)
    chosen = {n - 1 if n > 0 else count + n for n in positions}
    return tuple(offset for index, offset in enumerate(offsets) if index in chosen)

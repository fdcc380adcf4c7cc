"""Days on which an event does not run: dates, ranges of dates, weekdays, named calendars.

A day is a local day of the event's zone, matched whole. An excluded slot is left out of the
schedule as if it had never been one: it is skipped, not put off.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from alicia_scheduler.api.contracts import Schedule
from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.walltime import first_instant

__all__ = ["Excluding", "Exclusions"]

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
HORIZON = 40 * 366
"""Excluded days in a row after which a schedule counts as having no further slot."""
QUESTIONS = 4_000
"""Slots on excluded days in a row after which the same holds: every week of 76 years."""
ONE_DAY = timedelta(days=1)


class Exclusions:
    """What an event's ``exclude`` leaves out.

    Args:
        items: the items as they are written in ``exclude``.
        calendars: the dates of each named calendar.
        zone: whose local days are meant.

    Raises:
        ConfigError: an item is none of the four forms, or names no calendar.
    """

    def __init__(
        self, items: Sequence[str], calendars: Mapping[str, frozenset[date]], zone: ZoneInfo
    ) -> None:
        self.zone = zone
        self._weekdays: dict[int, str] = {}
        self._dates: dict[date, str] = {}
        self._ranges: list[tuple[date, date, str]] = []
        self._calendars: list[tuple[frozenset[date], str]] = []
        for number, item in enumerate(items):
            try:
                self._add(item, calendars)
            except ConfigError as error:
                raise error.under(number) from None

    def reason(self, day: date) -> str | None:
        """The item that excludes a local day, or None when it is not excluded."""
        if day.weekday() in self._weekdays:
            return self._weekdays[day.weekday()]
        if day in self._dates:
            return self._dates[day]
        for first, last, item in self._ranges:
            if first <= day <= last:
                return item
        for dates, item in self._calendars:
            if day in dates:
                return item
        return None

    def last_in_a_row(self, day: date) -> date | None:
        """The last excluded day of those that follow an excluded one without a gap; None when
        there is none for longer than :data:`HORIZON`, or before the year 10000."""
        try:
            for _ in range(HORIZON):
                if self.reason(day + ONE_DAY) is None:
                    return day
                day += ONE_DAY
        except OverflowError:
            pass
        return None

    def _add(self, item: str, calendars: Mapping[str, frozenset[date]]) -> None:
        first, slash, last = item.partition("/")
        if slash:
            begin, end = _date(first), _date(last)
            if end < begin:
                raise ConfigError(
                    f"the range {item!r} ends before it begins", hint=f"write '{last}/{first}'"
                )
            self._ranges.append((begin, end, item))
        elif item.lower() in WEEKDAYS:
            self._weekdays[WEEKDAYS.index(item.lower())] = item.lower()
        elif item in calendars:
            self._calendars.append((calendars[item], f"calendar {item}"))
        elif DATE.fullmatch(item):
            self._dates[_date(item)] = item
        else:
            known = ", ".join(sorted(calendars)) or "none is configured"
            raise ConfigError(
                f"{item!r} is neither a date, a range of dates, a weekday nor a calendar",
                hint=f"for example '2026-12-24', '2026-12-24/2027-01-06', 'sat'; "
                f"calendars: {known}",
            )


class Excluding:
    """A schedule without the slots that fall on excluded days. Is itself a ``Schedule``."""

    def __init__(self, schedule: Schedule, exclusions: Exclusions) -> None:
        self._schedule = schedule
        self._exclusions = exclusions

    def next_after(self, instant: datetime) -> datetime | None:
        slot = self._schedule.next_after(instant)
        for _ in range(QUESTIONS):
            if slot is None:
                return None
            day = slot.astimezone(self._exclusions.zone).date()
            if self._exclusions.reason(day) is None:
                return slot
            last = self._exclusions.last_in_a_row(day)
            if last is None:
                return None
            slot = self._schedule.next_after(self._last_instant(last, slot))
        return None

    def describe(self) -> str:
        return f"{self._schedule.describe()}, not on excluded days"

    def _last_instant(self, day: date, slot: datetime) -> datetime:
        """The last microsecond of a local day, and not before ``slot``."""
        try:
            morrow = datetime.combine(day + ONE_DAY, time())
            midnight = first_instant(morrow, self._exclusions.zone)
        except OverflowError:
            return slot
        return max(slot, midnight.astimezone(UTC) - timedelta(microseconds=1))


def _date(text: str) -> date:
    try:
        if DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise ConfigError(f"{text!r} is not a date of the calendar", hint="write it as 2026-12-24")

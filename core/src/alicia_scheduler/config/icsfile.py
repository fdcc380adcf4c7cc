"""The days of an .ics file: every local day that one of its entries touches (RFC 5545).

Days are what counts here, so what repeats more often than daily is refused. dateutil expands the
rules, on readings of the entry's own zone; daily rules are given to it without their other parts,
because it looks for a day that never comes until the year 10000.
"""

from __future__ import annotations

from calendar import monthrange
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import date, datetime, time, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from alicia_scheduler.api import ConfigError

__all__ = ["days_of_file"]

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of a file at the most."""

DAYS_LIMIT = 100_000
"""Days that one file may hold, and occurrences of one entry that are looked at."""

LAST_YEAR = 2100
"""Repeating entries are expanded up to the end of this year."""

LONGEST = 3660
"""Days of one occurrence that count."""

ONE_DAY = timedelta(days=1)
FREQUENCIES = ("DAILY", "WEEKLY", "MONTHLY", "YEARLY")
WITHIN_A_DAY = ("BYHOUR", "BYMINUTE", "BYSECOND")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def days_of_file(file: Path, zone: ZoneInfo) -> frozenset[date]:
    """Every day that an entry touches. All-day entries are days anywhere; of entries with a time,
    the days are those of ``zone``.

    Raises:
        ConfigError: the file cannot be read, is no calendar, or holds no entry.
    """
    try:
        import icalendar
    except ImportError:
        raise ConfigError(
            "reading .ics files needs the package icalendar", hint="pip install icalendar"
        ) from None
    try:
        if file.stat().st_size > SIZE_LIMIT:
            raise ConfigError(f"{file} is larger than {SIZE_LIMIT // 2**20} MiB")
        entries = icalendar.Calendar.from_ical(file.read_bytes()).walk("VEVENT")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f"{file} is not a calendar that can be read: {error}") from error
    if not entries:
        raise ConfigError(
            f"{file} holds no entry", hint="days come from its VEVENTs; is it the right file?"
        )
    days: set[date] = set()
    for day in _days_of(entries, file, zone):
        days.add(day)
        if len(days) > DAYS_LIMIT:
            raise ConfigError(f"{file} holds more than {DAYS_LIMIT} days")
    return frozenset(days)


def _days_of(entries: Iterable[Any], file: Path, zone: ZoneInfo) -> Iterator[date]:
    """The days of entries, each repetition that another entry replaces (RECURRENCE-ID) left out."""
    replaced: dict[str, set[date]] = defaultdict(set)
    for entry in entries:
        if "RECURRENCE-ID" in entry:
            with _blaming(file, entry):
                replaced[str(entry.get("UID"))].add(entry.decoded("RECURRENCE-ID"))
    for entry in entries:
        if str(entry.get("STATUS", "")).upper() == "CANCELLED":
            continue
        gone = () if "RECURRENCE-ID" in entry else replaced[str(entry.get("UID"))]
        with _blaming(file, entry):
            yield from _days_of_entry(entry, gone, zone)


@contextmanager
def _blaming(file: Path, entry: Any) -> Iterator[None]:
    """What an entry makes fail becomes a ConfigError that names it."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        name = entry.get("SUMMARY") or entry.get("UID") or "without a name"
        raise ConfigError(
            f"{file}: the entry {str(name)[:60]!r} cannot be read: {error}",
            hint="export the calendar again, or take the entry out",
        ) from error


def _days_of_entry(entry: Any, gone: Iterable[date], zone: ZoneInfo) -> Iterator[date]:
    span = _Span.of(entry)
    left_out = {span.reading(value) for value in [*gone, *_listed(entry, "EXDATE")]}
    added = [
        span.reading(value[0] if isinstance(value, tuple) else value)
        for value in _listed(entry, "RDATE")
    ]
    # The entry itself comes first, whether or not its rule names it (RFC 5545, 3.8.5.3).
    begins = {span.begin, *added}
    for rule in _as_list(entry.get("RRULE")):
        begins.update(_repetitions(rule, span))
    for begin in begins - left_out:
        yield from span.days(begin, zone)


class _Span(NamedTuple):
    """When an entry begins, as a reading of its own zone, and how long it lasts.

    Attributes:
        zone: None for an all-day entry, and for one with a time but no zone.
    """

    begin: datetime
    length: timedelta
    zone: tzinfo | None
    whole_days: bool

    @classmethod
    def of(cls, entry: Any) -> _Span:
        if "DTSTART" not in entry:
            raise ValueError("it has no DTSTART")
        begin = entry.decoded("DTSTART")
        if not isinstance(begin, date):
            raise ValueError(f"its DTSTART is {begin!r}")
        whole_days = not isinstance(begin, datetime)
        if "DTEND" in entry:
            length = entry.decoded("DTEND") - begin
        else:
            length = entry.decoded("DURATION", ONE_DAY if whole_days else timedelta())
        if isinstance(begin, datetime):
            return cls(begin.replace(tzinfo=None), length, begin.tzinfo, whole_days)
        return cls(datetime.combine(begin, time()), length, None, whole_days)

    def reading(self, value: date) -> datetime:
        """A date or time of EXDATE, RDATE, UNTIL or RECURRENCE-ID, by the entry's own clock."""
        if not isinstance(value, datetime):
            return datetime.combine(value, self.begin.time())
        if value.tzinfo is None or self.zone is None:
            return value.replace(tzinfo=None)
        return value.astimezone(self.zone).replace(tzinfo=None)

    def days(self, begin: datetime, zone: ZoneInfo) -> Iterator[date]:
        """The days of the occurrence that begins at a reading. The end is exclusive (3.6.1)."""
        end = begin + self.length
        if self.zone is not None:
            start = begin.replace(tzinfo=self.zone)
            begin, end = start.astimezone(zone), (start + self.length).astimezone(zone)
        first, last = begin.date(), end.date()
        if last > first and end.time() == time():
            last -= ONE_DAY
        for offset in range(min((last - first).days, LONGEST) + 1):
            yield first + timedelta(days=offset)


def _repetitions(rule: Any, span: _Span) -> Iterator[datetime]:
    from dateutil.rrule import rrulestr

    parts = dict(part.split("=", 1) for part in rule.to_ical().decode().upper().split(";"))
    frequency = parts.get("FREQ")
    if frequency not in FREQUENCIES:
        raise ValueError(f"it repeats {frequency}, and days repeat {', '.join(FREQUENCIES)}")
    if frequency == "WEEKLY" and "BYMONTHDAY" in parts:
        raise ValueError("BYMONTHDAY does not go with FREQ=WEEKLY")
    count = int(parts.pop("COUNT", DAYS_LIMIT))
    until = span.reading(rule["UNTIL"][0]) if parts.pop("UNTIL", None) else None
    for name in WITHIN_A_DAY:
        parts.pop(name, None)
    days = _DailyParts.taken_from(parts) if frequency == "DAILY" else _DailyParts()
    walk = rrulestr(
        ";".join(f"{name}={value}" for name, value in parts.items()), dtstart=span.begin
    )
    for begin in islice(walk, DAYS_LIMIT):
        if count == 0 or begin.year > LAST_YEAR or (until is not None and begin > until):
            return
        if days.allow(begin):
            count -= 1
            yield begin


class _DailyParts(NamedTuple):
    """The parts that let a daily rule's days through; an empty one lets all."""

    months: frozenset[int] = frozenset()
    month_days: frozenset[int] = frozenset()
    weekdays: frozenset[str] = frozenset()

    @classmethod
    def taken_from(cls, parts: dict[str, str]) -> _DailyParts:
        """The same, with these parts taken out of ``parts``."""
        months, month_days, weekdays = (
            parts.pop(name).split(",") if name in parts else ()
            for name in ("BYMONTH", "BYMONTHDAY", "BYDAY")
        )
        return cls(
            frozenset(map(int, months)), frozenset(map(int, month_days)), frozenset(weekdays)
        )

    def allow(self, begin: datetime) -> bool:
        """Whether they let a day through."""
        from_end = begin.day - monthrange(begin.year, begin.month)[1] - 1
        return (
            (not self.months or begin.month in self.months)
            and (not self.month_days or not self.month_days.isdisjoint((begin.day, from_end)))
            and (not self.weekdays or WEEKDAYS[begin.weekday()] in self.weekdays)
        )


def _listed(entry: Any, name: str) -> Iterator[Any]:
    """The values of a property that may be given several times, with several values each."""
    for values in _as_list(entry.get(name)):
        for value in values.dts:
            yield value.dt


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]

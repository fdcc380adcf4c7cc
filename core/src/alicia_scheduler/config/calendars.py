"""``[calendars.<name>]``: named sets of days, written as dates or read from an .ics file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.plain import plain_all

__all__ = ["CalendarTable", "read_calendar"]

SIZE_LIMIT = 4 * 1024 * 1024
"""Bytes of an .ics file at the most."""

DAYS_LIMIT = 100_000
"""Days that one calendar may hold."""

YEARS = range(1990, 2101)
"""Years for which a repeating entry of an .ics file is expanded."""


class CalendarTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[calendars.<name>]``.

    Attributes:
        dates: days as ``2026-12-24``.
        file: an .ics file, relative to the configuration file; every day that one of its entries
            touches belongs to the calendar.
    """

    dates: tuple[str, ...] = ()
    file: str | None = None


def read_calendar(
    name: str, raw: dict[str, Any], folder: Path, issues: list[ConfigError]
) -> frozenset[date]:
    """The days of a calendar; mistakes are added to ``issues``."""
    place = ("calendars", name)
    if isinstance(raw.get("dates"), list):
        # Dates may be TOML's own.
        raw = {**raw, "dates": plain_all(raw["dates"], [])}
    table = convert_all(raw, CalendarTable, issues, path=place)
    if table is None:
        return frozenset()
    days: set[date] = set()
    for number, text in enumerate(table.dates):
        try:
            days.add(date.fromisoformat(text))
        except ValueError:
            issues.append(
                ConfigError(
                    f"{text!r} is not a date of the calendar",
                    path=(*place, "dates", number),
                    hint="write it as 2026-12-24",
                )
            )
    if table.file is not None:
        try:
            days.update(_days_of_file(folder / table.file))
        except ConfigError as error:
            issues.append(error.under(*place, "file"))
    if not table.dates and table.file is None:
        issues.append(ConfigError("holds no day", path=place, hint="give dates or a file"))
    return frozenset(days)


def _days_of_file(file: Path) -> set[date]:
    try:
        import icalendar
    except ImportError:
        raise ConfigError(
            "reading .ics files needs the package icalendar", hint="pip install icalendar"
        ) from None
    try:
        if file.stat().st_size > SIZE_LIMIT:
            raise ConfigError(f"{file} is larger than {SIZE_LIMIT // 2**20} MiB")
        calendar = icalendar.Calendar.from_ical(file.read_bytes())
        days: set[date] = set()
        for entry in calendar.walk("VEVENT"):
            days.update(_days_of_entry(entry))
            if len(days) > DAYS_LIMIT:
                raise ConfigError(f"{file} holds more than {DAYS_LIMIT} days")
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error
    except ConfigError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise ConfigError(f"{file} is not a calendar that can be read: {error}") from error
    return days


def _days_of_entry(entry: Any) -> Iterator[date]:
    """Every local day that an entry and its repetitions touch."""
    begin = entry.decoded("DTSTART")
    end = entry.decoded("DTEND", None)
    if end is None:
        length = entry.decoded("DURATION", timedelta(days=0 if isinstance(begin, datetime) else 1))
        end = begin + length
    first, last = _day(begin), _day(end)
    whole_days = not isinstance(begin, datetime)
    midnight = (
        isinstance(end, datetime) and end.timetz().replace(tzinfo=None) == datetime.min.time()
    )
    # The end of an entry is exclusive (RFC 5545, section 3.6.1).
    if last > first and (whole_days or midnight):
        last -= timedelta(days=1)
    span = (last - first).days
    for start in _starts(entry, first):
        for offset in range(min(span, 3660) + 1):
            yield start + timedelta(days=offset)


def _starts(entry: Any, first: date) -> Iterator[date]:
    rule = entry.get("RRULE")
    if rule is None:
        yield first
        return
    from dateutil.rrule import rrulestr

    text = rule.to_ical().decode()
    begin = datetime.combine(first, time.min)
    # UNTIL may carry a zone, which dateutil refuses beside a naive start; days are all we want.
    text = ";".join(
        part.split("T")[0] if part.startswith("UNTIL=") else part for part in text.split(";")
    )
    for count, start in enumerate(rrulestr(text, dtstart=begin)):
        if start.year not in YEARS or count > DAYS_LIMIT:
            return
        yield start.date()


def _day(value: date | datetime) -> date:
    return value.date() if isinstance(value, datetime) else value

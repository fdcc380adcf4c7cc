"""``[calendars.<name>]``: named sets of days, written as dates or read from an .ics file."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.convert import convert_all
from alicia_scheduler.config.icsfile import days_of_file
from alicia_scheduler.config.plain import plain_all

__all__ = ["CalendarTable", "read_calendar"]

WEEKDAYS = frozenset(("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class CalendarTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``[calendars.<name>]``.

    Attributes:
        dates: days as ``2026-12-24``.
        file: an .ics file, relative to the configuration file; every day that one of its entries
            touches belongs to the calendar. Entries with a time are read in the host's zone.
    """

    dates: tuple[str, ...] = ()
    file: str | None = None


def read_calendar(
    name: str, raw: dict[str, Any], folder: Path, issues: list[ConfigError], zone: ZoneInfo
) -> frozenset[date]:
    """The days of a calendar; mistakes are added to ``issues``.

    Args:
        folder: where a relative ``file`` begins.
        zone: the host's, in which entries with a time of an .ics file fall on days.
    """
    place = ("calendars", name)
    taken = _otherwise_read(name)
    if taken is not None:
        message = f"cannot be the name of a calendar: in exclude, {name!r} is {taken}"
        issues.append(ConfigError(message, path=place, hint="choose another name"))
    if isinstance(raw.get("dates"), list):
        # Dates may be TOML's own.
        raw = {**raw, "dates": plain_all(raw["dates"], [])}
    table = convert_all(raw, CalendarTable, issues, path=place)
    if table is None:
        return frozenset()
    days: set[date] = set()
    for number, text in enumerate(table.dates):
        try:
            days.add(_date(text))
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
            days.update(days_of_file(folder / table.file, zone))
        except ConfigError as error:
            issues.append(error.under(*place, "file"))
    if not table.dates and table.file is None:
        issues.append(ConfigError("holds no day", path=place, hint="give dates or a file"))
    return frozenset(days)


def _date(text: str) -> date:
    # The standard library also reads 20261224 and 2026-W52-4.
    if not DATE.fullmatch(text):
        raise ValueError(text)
    return date.fromisoformat(text)


def _otherwise_read(name: str) -> str | None:
    """What an item of ``exclude`` that is this name would be taken for, or None."""
    if name.lower() in WEEKDAYS:
        return "a weekday"
    if "/" in name:
        return "a range of dates"
    return "a date" if DATE.fullmatch(name) else None

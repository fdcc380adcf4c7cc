"""Instants and spans as people type them on a command line."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import click

from alicia_scheduler.api.errors import ConfigError
from alicia_scheduler.api.walltime import first_instant
from alicia_scheduler.config.instants import parse_instant

__all__ = ["finite", "later", "moment", "seconds_of", "span", "zoned_time"]

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
EPOCH = re.compile(r"-?\d+(\.\d+)?")
BEYOND = "lies outside the calendar, which has the years 1 to 9999"
LONGEST = 100 * 366 * 86_400.0
"""Seconds of the longest span; beyond, sums with an instant leave the calendar."""


def moment(text: str, zone: ZoneInfo) -> datetime:
    """The aware UTC instant that ``text`` means: ISO 8601, epoch seconds, or ``now``.

    A time without an offset is one of ``zone``; where its clocks skip it, the first instant after
    the gap, where they repeat it, the first pass.

    Raises:
        click.UsageError: it is none of these.
    """
    text = text.strip()
    if text == "now":
        return datetime.now(UTC)
    try:
        reading = datetime.fromisoformat(text)
    except ValueError:
        reading = None  # the parser below says what is wrong with it
    if reading is not None and reading.tzinfo is None and EPOCH.fullmatch(text) is None:
        try:
            return first_instant(reading, zone)
        except (ValueError, OverflowError) as error:
            raise click.UsageError(f"{text!r} in {zone.key} {BEYOND}") from error
    try:
        return parse_instant(float(text) if EPOCH.fullmatch(text) else text)
    except ConfigError as error:
        raise click.UsageError(f"{text!r}: {error}") from error


def later(start: datetime, length: timedelta) -> datetime:
    """``length`` after ``start``.

    Raises:
        click.UsageError: the calendar ends before.
    """
    try:
        return start + length
    except OverflowError as error:
        raise click.UsageError(f"the end, {length} after {start:%Y-%m-%d}, {BEYOND}") from error


def finite(_context: click.Context, _parameter: click.Parameter, number: float) -> float:
    """A number that is one. Is an option's ``callback``.

    Raises:
        click.BadParameter: it is infinite or not a number.
    """
    if not math.isfinite(number):
        raise click.BadParameter(f"{number} is no number of seconds")
    return number


def zoned_time(instant: datetime, zone: ZoneInfo) -> str:
    """An instant as ISO time of a zone with its offset, to the second or finer if it is."""
    local = instant.astimezone(zone)
    precision = "milliseconds" if local.microsecond else "seconds"
    return local.isoformat(sep=" ", timespec=precision)


def span(
    _context: click.Context, _parameter: click.Parameter, text: str | None
) -> timedelta | None:
    """What an option means that is a span: ``90s``, ``15m``, ``24h``, ``30d``, ``2w``, or several
    of them as in ``1d12h``. Is an option's ``callback``.

    Raises:
        click.BadParameter: it is none.
    """
    return None if text is None else timedelta(seconds=_seconds(text))


def seconds_of(text: str, option: str) -> float:
    """Seconds of a span as :func:`span` reads it, or of a plain number.

    Args:
        option: whose value it is, for people.

    Raises:
        click.UsageError: it is none.
    """
    try:
        return _seconds(f"{text}s" if EPOCH.fullmatch(text) else text)
    except click.BadParameter as error:
        raise click.UsageError(f"{option}: {error.message}") from error


def _seconds(text: str) -> float:
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhdw])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise click.BadParameter(f"{text!r} is no span of time; write 90s, 15m, 24h, 30d or 2w")
    seconds = sum(float(number) * UNITS[unit] for number, unit in parts)
    if not 0 < seconds <= LONGEST:
        raise click.BadParameter(f"{text!r} must be more than nothing and at most a century")
    return seconds

"""A moment as people and programs write it: ISO 8601 text, epoch seconds, a TOML date-time."""

from __future__ import annotations

import math
import re
from datetime import UTC, date, datetime, timedelta

from alicia_scheduler.api import (
    ConfigError,
    DstGap,
    DstOverlap,
    ScheduleContext,
    first_instant,
    instants_of,
)

__all__ = ["parse_moment"]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The standard library reads more of ISO 8601 than people mean: 20240101 or 2024-W01-1.
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
    r"(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?"
)
_FORM = "write 2026-12-24T18:00:00 (local), or with Z or an offset such as +01:00 at the end"


def parse_moment(value: object, context: ScheduleContext) -> tuple[datetime, ...]:
    """The instants (aware UTC) that ``value`` means: one, or both passes of a repeated reading.

    With ``Z`` or an offset it is that instant. Without, it is a reading in the context's zone: the
    first one when it is repeated, the first instant after the gap when no clock shows it, unless
    the context has other rules. A number is seconds since 1970-01-01T00:00:00Z.

    Raises:
        ConfigError: ``value`` is none of these, does not exist (30 February), lies outside the
            years 1 to 9999, is local and there is no zone, or is in a gap that is skipped.
    """
    try:
        if isinstance(value, str):
            return _from_datetime(_from_text(value), context)
        if isinstance(value, datetime):
            return _from_datetime(value, context)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return (_from_number(value),)
    except OverflowError:
        raise ConfigError(
            "the moment lies outside the years 1 to 9999", hint=_milliseconds(value)
        ) from None
    if isinstance(value, date):
        raise ConfigError(f"{value} has no time of day", hint=f"write {value}T00:00:00")
    raise ConfigError(f"{_shown(value)} is neither text nor a number", hint=_FORM)


def _from_text(text: str) -> datetime:
    if not _ISO.fullmatch(text):
        raise ConfigError(f"{_shown(text)} is no ISO 8601 date and time", hint=_FORM)
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"{text!r} does not exist: {error}") from None


def _from_datetime(moment: datetime, context: ScheduleContext) -> tuple[datetime, ...]:
    if moment.utcoffset() is None:
        return _from_reading(moment.replace(tzinfo=None), context)
    return (moment.astimezone(UTC),)


def _from_reading(reading: datetime, context: ScheduleContext) -> tuple[datetime, ...]:
    zone = context.require_timezone()
    passes = instants_of(reading, zone)
    if not passes:
        if context.dst_gap is DstGap.SKIP:
            raise ConfigError(
                f'no clock shows {reading} in {zone.key}, and dst_gap = "skip" leaves it out',
                hint='choose another time, or dst_gap = "after"',
            )
        return (first_instant(reading, zone),)
    if context.dst_overlap is DstOverlap.BOTH:
        return passes
    return passes[-1:] if context.dst_overlap is DstOverlap.SECOND else passes[:1]


def _from_number(seconds: float) -> datetime:
    if not math.isfinite(seconds):
        raise ConfigError(f"{seconds} is no moment", hint="write seconds since 1970")
    return EPOCH + timedelta(seconds=seconds)


def _milliseconds(value: object) -> str | None:
    """A hint for an epoch in milliseconds, which lands tens of thousands of years ahead."""
    if isinstance(value, (int, float)) and 1e11 < value < 1e14:
        return f"this looks like milliseconds; in seconds it is {value / 1000:.3f}"
    return None


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."

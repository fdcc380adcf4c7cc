"""Instants as people write them: ISO 8601 with a zone, epoch seconds, TOML date-times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import UTC, datetime

from alicia_scheduler.api import ConfigError, from_epoch
from alicia_scheduler.config.wording import found, quote

__all__ = ["parse_instant"]

_ZONE_HINT = "add Z for UTC or an offset: 2026-03-29T07:30:00+02:00"
_FORM_HINT = "write 2026-03-29T07:30:00+02:00, 2026-03-29T05:30:00Z, or epoch seconds"


def parse_instant(value: object, *, path: Sequence[str | int] = ()) -> datetime:
    """The aware UTC instant that ``value`` means.

    Args:
        value: ISO 8601 text with ``Z`` or an offset, a number of seconds since
            1970-01-01T00:00:00Z, or an aware ``datetime`` (TOML has them natively).
        path: where the value stands, for the error.

    Raises:
        ConfigError: it is none of these, has no zone, does not exist (30 February), or lies
            outside the years 1 to 9999.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str, datetime)):
        message = f"must be an instant, not {found(value, path)}"
        raise ConfigError(message, path=path, hint=_FORM_HINT)
    if isinstance(value, (int, float)):
        return _from_number(value, path)
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value.strip())
        except ValueError:
            message = f"must be an instant, not text {quote(value)}"
            raise ConfigError(message, path=path, hint=_FORM_HINT) from None
    else:
        instant = value
    if instant.utcoffset() is None:
        message = f"must say its time zone: {quote(str(value))} is an instant only somewhere"
        raise ConfigError(message, path=path, hint=_ZONE_HINT)
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        message = f"lies outside the years 1 to 9999: {quote(str(value))}"
        raise ConfigError(message, path=path) from None


def _from_number(value: float, path: Sequence[str | int]) -> datetime:
    try:
        if math.isfinite(value):
            return from_epoch(value)
    except (OverflowError, ValueError, OSError):
        pass
    message = f"must be seconds since 1970 within the years 1 to 9999, not {quote(value)}"
    hint = "this looks like milliseconds; divide by 1000" if abs(value) >= 1e11 else None
    raise ConfigError(message, path=path, hint=hint)

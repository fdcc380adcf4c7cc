"""Times of day, as they are written."""

from __future__ import annotations

import re
from datetime import time

from alicia_scheduler.api import ConfigError

__all__ = ["parse_times"]

MAX_TIMES = 1440
"""Most times of day in a list: one for each minute."""

_TIME = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9])?")
_FORM = 'write "07:30" or "07:30:15", from 00:00 to 23:59:59'


def parse_times(value: object) -> tuple[time, ...]:
    """The times of day that ``value`` means, ascending and without repeats.

    Args:
        value: ``HH:MM`` or ``HH:MM:SS``, a ``time`` of whole seconds, or a list of them.

    Raises:
        ConfigError: it is none of these, or the list is empty or longer than 1440.
    """
    if not isinstance(value, list):
        return (_parse_time(value),)
    if not 0 < len(value) <= MAX_TIMES:
        raise ConfigError(
            f"a list of times has 1 to {MAX_TIMES} items, not {len(value)}", hint=_FORM
        )
    times = set()
    for index, item in enumerate(value):
        try:
            times.add(_parse_time(item))
        except ConfigError as error:
            raise error.under(index) from None
    return tuple(sorted(times))


def _parse_time(value: object) -> time:
    if isinstance(value, time):
        if value.microsecond or value.tzinfo is not None:
            raise ConfigError(f"{value} is no time of day in whole seconds", hint=_FORM)
        return value
    if isinstance(value, str) and _TIME.fullmatch(value):
        return time.fromisoformat(value)
    shown = repr(value)
    raise ConfigError(
        f"{shown if len(shown) <= 40 else shown[:37] + '...'} is no time of day", hint=_FORM
    )

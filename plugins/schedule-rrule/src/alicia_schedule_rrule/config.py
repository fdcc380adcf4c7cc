"""What ``schedule_config`` holds for the type ``rrule``."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Any

import msgspec

from alicia_scheduler.api import ConfigError

__all__ = ["RRuleConfig", "parse_reading"]

MAX_DATES = 10_000
"""Longest list of dates to leave out or to add."""

_READING = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(:[0-9]{2})?")
_FORM = "write 2026-12-24T18:00:00: a local time in the event's zone, without Z or an offset"

Reading = Annotated[
    Any,
    msgspec.Meta(description="YYYY-MM-DDTHH:MM:SS, local", extra_json_schema={"type": "string"}),
]
"""Text, or one of TOML's own local date-times; :func:`parse_reading` reads it."""


class RRuleConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A rule, where it starts, and the exceptions from it.

    Attributes:
        rrule: the value of the property RRULE, e.g. ``FREQ=WEEKLY;BYDAY=MO,FR``.
        dtstart: the reading from which it counts, and which gives what the rule leaves open.
        exdate: readings to leave out.
        rdate: readings to add.
    """

    rrule: str
    dtstart: Reading
    exdate: list[Reading] = []
    rdate: list[Reading] = []

    def __post_init__(self) -> None:
        for key in ("exdate", "rdate"):
            if len(getattr(self, key)) > MAX_DATES:
                raise ConfigError(f"{MAX_DATES} dates are the most", path=(key,))


def parse_reading(value: object) -> datetime:
    """The reading (naive, whole seconds) that ``value`` means.

    Raises:
        ConfigError: it is none, or does not exist.
    """
    if isinstance(value, datetime) and value.tzinfo is None and not value.microsecond:
        return value
    text = repr(value) if not isinstance(value, datetime) else str(value)
    if isinstance(value, str) and _READING.fullmatch(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise ConfigError(f"{text} does not exist: {error}") from None
    shown = text if len(text) <= 60 else f"{text[:57]}..."
    raise ConfigError(f"{shown} is no local date and time in whole seconds", hint=_FORM)

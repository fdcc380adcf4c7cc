"""A crontab expression: from its text to its six fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from alicia_schedule_cron.fields import DAY, HOUR, MINUTE, MONTH, SECOND, WEEKDAY, Field
from alicia_scheduler.api import ConfigError

__all__ = ["Expression"]

MAX_LENGTH = 2000
"""Longest expression in characters. One that lists every value of every field has about 600."""

MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
"""crontab(5), without ``@reboot``, which names no time."""

_BLANKS = re.compile(r"[ \t]+")


@dataclass(frozen=True, slots=True)
class Expression:
    """The fields of an expression."""

    seconds: Field
    minutes: Field
    hours: Field
    days: Field
    months: Field
    weekdays: Field

    @classmethod
    def parse(cls, text: str, *, seconds: Literal["first", "last"] = "first") -> Expression:
        """The expression that ``text`` writes: five fields, six with seconds, or a macro.

        Args:
            text: the expression.
            seconds: where the seconds stand when there are six fields.

        Raises:
            ConfigError: it is none of these.
        """
        if len(text) > MAX_LENGTH:
            raise ConfigError(
                f"the expression has {len(text)} characters; {MAX_LENGTH} is the most",
                hint="write ranges and steps instead of long lists",
            )
        fields = _split(text)
        if len(fields) == 5:
            fields.insert(0, "0")
        elif seconds == "last":
            fields.insert(0, fields.pop())
        rules = (SECOND, MINUTE, HOUR, DAY, MONTH, WEEKDAY)
        return cls(*(rule.parse(field) for rule, field in zip(rules, fields, strict=True)))

    @property
    def days_match_both(self) -> bool:
        """Whether a day must satisfy both day fields; otherwise either is enough.

        It is decided by the first character of the two fields alone (``DOM_STAR`` and ``DOW_STAR``
        in cron's ``entry.c``), so ``*/2`` counts as a star, and ``1-31`` does not.
        """
        return self.days.starred or self.weekdays.starred

    @property
    def follows_clock(self) -> bool:
        """Whether it is a *wildcard* entry, which at clock changes follows the wall clock; the
        others keep to once per reading (cron(8), Debian)."""
        return self.minutes.starred or self.hours.starred


def _split(text: str) -> list[str]:
    """The texts of the five or six fields."""
    stripped = text.strip(" \t")
    if stripped.startswith("@"):
        if stripped not in MACROS:
            raise ConfigError(
                f"unknown macro {stripped[:40]!r}", hint=f"there are {', '.join(MACROS)}"
            )
        stripped = MACROS[stripped]
    fields = _BLANKS.split(stripped) if stripped else []
    if len(fields) not in (5, 6):
        raise ConfigError(
            f"an expression has 5 fields (6 with seconds), and this has {len(fields)}",
            hint="write minute, hour, day of month, month, day of week: 30 6 * * mon-fri",
        )
    return fields

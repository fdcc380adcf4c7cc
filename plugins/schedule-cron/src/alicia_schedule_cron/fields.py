"""One field of a crontab expression: from its text to the values it selects.

The syntax is that of crontab(5) in Debian's cron, without what its parser only lets through by
accident (text after a value, reversed ranges), and with the extensions that Quartz made common:
``a/n``, ``L``, ``W``, ``#``, ``?``. Everything is checked here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from alicia_scheduler.api import ConfigError

__all__ = ["DAY", "HOUR", "MINUTE", "MONTH", "SECOND", "WEEKDAY", "Field", "FieldRule"]

MAX_DIGITS = 4
"""Longest number, in digits without leading zeros; all that a field can hold have two."""

_NUMBER = re.compile(r"[0-9]+")
_DAY_SPECIAL = re.compile(r"(?P<last>l)|(?P<last_workday>lw)|(?P<near>[0-9]+)w", re.IGNORECASE)
_WEEKDAY_SPECIAL = re.compile(r"(?P<nth>\w+)#(?P<n>[0-9]+)|l(?P<last>\w+)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Field:
    """What a field selects.

    Attributes:
        values: plain values, ascending.
        specials: days that depend on the month: ``l`` (the last day),
            ``15w`` (the Monday-to-Friday day nearest to the 15th), ``5#2`` (the second Friday),
            ``l5`` (the last Friday).
        starred: whether its text begins with ``*`` (or is ``?``). For the day fields and for
            clock changes only this counts, not what the field selects.
    """

    values: tuple[int, ...]
    specials: tuple[str, ...] = ()
    starred: bool = False


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What may stand in a field.

    Attributes:
        name: for people.
        first, last: its range of values, which ``*`` stands for.
        names: names of values, in lower case.
    """

    name: str
    first: int
    last: int
    names: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))

    def parse(self, text: str) -> Field:
        """The field that ``text`` describes.

        Raises:
            ConfigError: it is not in the syntax, or out of range.
        """
        if text == "?" and self in (DAY, WEEKDAY):
            text = "*"
        values: set[int] = set()
        specials: dict[str, None] = {}
        for item in text.split(","):
            special = self._special(item)
            if special is not None:
                specials[special] = None
            else:
                values.update(self._values(item))
        if self is WEEKDAY:
            values = {value % 7 for value in values}
        return Field(tuple(sorted(values)), tuple(specials), text.startswith("*"))

    def _values(self, item: str) -> range:
        """The values of ``*``, ``a``, ``a-b``, each also with ``/n``."""
        span, slash, step_text = item.partition("/")
        step = self._step(step_text, item) if slash else 1
        if span == "*":
            return range(self.first, self.last + 1, step)
        low_text, dash, high_text = span.partition("-")
        low = self._number(low_text, item)
        if not dash:
            return range(low, (self.last if slash else low) + 1, step)
        high = self._number(high_text, item)
        if low > high:
            raise ConfigError(
                f"the range {item!r} in the {self.name} field runs backwards",
                hint=f"write {self._forwards(low, high)}",
            )
        return range(low, high + 1, step)

    def _forwards(self, low: int, high: int) -> str:
        """A reversed range, written so that it works."""
        if self is WEEKDAY and high == 0:
            return _span(low, 7)
        return f"{_span(low, 6 if self is WEEKDAY else self.last)},{_span(self.first, high)}"

    def _special(self, item: str) -> str | None:
        """An item that names a day by the shape of its month."""
        if self is DAY and (match := _DAY_SPECIAL.fullmatch(item)):
            if match["last"]:
                return "l"
            # A day behind the end of the month stands for the last one.
            return "31w" if match["last_workday"] else f"{self._number(match['near'], item)}w"
        if self is WEEKDAY and (match := _WEEKDAY_SPECIAL.fullmatch(item)):
            if match["last"]:
                return f"l{self._number(match['last'], item) % 7}"
            nth = match["n"].lstrip("0")
            if nth not in set("12345"):
                raise ConfigError(
                    f"{item!r} in the {self.name} field counts beyond a month",
                    hint="write #1 to #5",
                )
            return f"{self._number(match['nth'], item) % 7}#{nth}"
        return None

    def _number(self, text: str, item: str) -> int:
        if text.lower() in self.names:
            return self.names[text.lower()]
        if not _NUMBER.fullmatch(text):
            raise self._unreadable(text, item)
        digits = text.lstrip("0") or "0"
        if len(digits) > MAX_DIGITS or not self.first <= int(digits) <= self.last:
            raise ConfigError(
                f"{_short(text)} is out of range in the {self.name} field",
                hint=f"it takes {self.first} to {self.last}",
            )
        return int(digits)

    def _step(self, text: str, item: str) -> int:
        digits = text.lstrip("0")
        if not _NUMBER.fullmatch(text) or not digits or len(digits) > MAX_DIGITS:
            raise ConfigError(
                f"{_short(text)!r} is no step in {_short(item)!r} ({self.name} field)",
                hint="write a whole number from 1 after the '/'",
            )
        return int(digits)

    def _unreadable(self, text: str, item: str) -> ConfigError:
        message = f"{_short(item)!r} is not understood in the {self.name} field"
        if not item:
            return ConfigError(f"there is an empty item in the {self.name} field")
        if text[:3].lower() in self.names and text.isalpha():
            return ConfigError(message, hint=f"names have three letters: {text[:3].lower()}")
        if self is WEEKDAY and item[-1] in "lL" and item[:-1] in "01234567":
            return ConfigError(message, hint=f"the last such day is written L{item[:-1]}")
        takes = f"it takes {self.first} to {self.last}"
        return ConfigError(
            message, hint=f"{takes}, or {', '.join(self.names)}" if self.names else takes
        )


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}-{high}"


def _short(text: str) -> str:
    return text if len(text) <= 20 else f"{text[:17]}..."


_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

SECOND = FieldRule("seconds", 0, 59)
MINUTE = FieldRule("minute", 0, 59)
HOUR = FieldRule("hour", 0, 23)
DAY = FieldRule("day-of-month", 1, 31)
MONTH = FieldRule("month", 1, 12, {name: i for i, name in enumerate(_MONTHS, start=1)})
WEEKDAY = FieldRule("day-of-week", 0, 7, {name: i for i, name in enumerate(_WEEKDAYS)})

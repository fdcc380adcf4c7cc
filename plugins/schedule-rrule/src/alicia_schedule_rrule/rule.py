"""A recurrence rule: from its text to its parts (RFC 5545, section 3.3.10).

Everything is checked here, before dateutil sees any of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alicia_scheduler.api import ConfigError

__all__ = ["FREQUENCIES", "WEEKDAYS", "Rule"]

FREQUENCIES = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY")
WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")

MAX_LENGTH = 2000
"""Longest rule in characters."""

MAX_COUNT = 10_000
"""Largest COUNT. Its end is found by counting, when the schedule is built."""

MAX_INTERVAL = 10**9

RANGES: dict[str, tuple[int, int, bool]] = {
    "BYSECOND": (0, 59, False),
    "BYMINUTE": (0, 59, False),
    "BYHOUR": (0, 23, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYWEEKNO": (1, 53, True),
    "BYMONTH": (1, 12, False),
    "BYSETPOS": (1, 366, True),
}
"""Lists of numbers: least, largest, and whether they may count from the end (negative).
RFC 5545 also has second 60; clocks here never show it."""

NOT_WITH: dict[str, tuple[str, ...]] = {
    "BYWEEKNO": tuple(name for name in FREQUENCIES if name != "YEARLY"),
    "BYYEARDAY": ("MONTHLY", "WEEKLY", "DAILY"),
    "BYMONTHDAY": ("WEEKLY",),
}
"""The fields marked N/A in the RFC's table."""

PARTS = ("FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *RANGES)

_DAY = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER = re.compile(r"[+-]?[0-9]{1,3}")
_POSITIVE = re.compile(r"[0-9]{1,10}")
_UNTIL = re.compile(r"[0-9]{8}T[0-9]{6}Z")


@dataclass(frozen=True, slots=True)
class Rule:
    """The parts of a rule.

    Attributes:
        frequency: one of :data:`FREQUENCIES`.
        interval: every how many periods.
        count: how many occurrences there are, or None.
        until: the last instant (aware UTC) at which one may be, or None.
        week_start: 0 = Monday … 6 = Sunday.
        days: of BYDAY: (ordinal or 0, weekday).
        numbers: the other BY parts, by name, as they were written.
    """

    frequency: str
    interval: int = 1
    count: int | None = None
    until: datetime | None = None
    week_start: int = 0
    days: tuple[tuple[int, int], ...] = ()
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Rule:
        """The rule that ``text`` writes.

        Raises:
            ConfigError: it is not in the syntax, out of range, or combines what the RFC forbids.
        """
        parts = _split(text)
        frequency = parts.get("FREQ")
        if frequency not in FREQUENCIES:
            raise ConfigError(
                "FREQ is missing" if frequency is None else f"unknown FREQ {frequency[:20]!r}",
                hint=f"write FREQ={', '.join(FREQUENCIES)}",
            )
        rule = cls(
            frequency,
            _positive("INTERVAL", parts["INTERVAL"], MAX_INTERVAL) if "INTERVAL" in parts else 1,
            _positive("COUNT", parts["COUNT"], MAX_COUNT) if "COUNT" in parts else None,
            _until(parts["UNTIL"]) if "UNTIL" in parts else None,
            _weekday(parts.get("WKST", "MO")),
            _days(parts["BYDAY"]) if "BYDAY" in parts else (),
            {name: _numbers(name, parts[name]) for name in RANGES if name in parts},
        )
        rule._check_combinations()
        return rule

    def _check_combinations(self) -> None:
        if self.count is not None and self.until is not None:
            raise ConfigError("COUNT and UNTIL exclude each other", hint="keep one of them")
        for name, frequencies in NOT_WITH.items():
            if name in self.numbers and self.frequency in frequencies:
                raise ConfigError(f"{name} does not go with FREQ={self.frequency}")
        if any(ordinal for ordinal, _ in self.days):
            if self.frequency not in {"MONTHLY", "YEARLY"}:
                raise ConfigError(
                    f"BYDAY takes no number with FREQ={self.frequency}",
                    hint="a numbered day such as 2MO goes with MONTHLY and YEARLY",
                )
            if "BYWEEKNO" in self.numbers:
                raise ConfigError("BYDAY takes no number together with BYWEEKNO")
        if "BYSETPOS" in self.numbers and not self.days and len(self.numbers) == 1:
            raise ConfigError("BYSETPOS selects from another BY part, and there is none")


def _split(text: str) -> dict[str, str]:
    """The values of the parts, by name, in upper case: case means nothing in a rule."""
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"the rule has {len(text)} characters; {MAX_LENGTH} is the most")
    parts: dict[str, str] = {}
    for part in text.upper().split(";"):
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            hint = "leave RRULE: out" if part.startswith("RRULE:") else "write FREQ=DAILY;COUNT=3"
            raise ConfigError(f"{part[:40]!r} is no part of a rule", hint=hint)
        if name not in PARTS:
            hint = "leave RRULE: out" if name.startswith("RRULE:") else f"there are {list(PARTS)}"
            raise ConfigError(f"unknown part {name[:20]!r}", hint=hint)
        if name in parts:
            raise ConfigError(f"{name} is given twice")
        parts[name] = value
    return parts


def _positive(name: str, text: str, most: int) -> int:
    if not _POSITIVE.fullmatch(text) or not 1 <= int(text) <= most:
        raise ConfigError(
            f"{name}={text[:20]} is out of range",
            hint=f"write 1 to {most}" + ("; UNTIL takes any date" if name == "COUNT" else ""),
        )
    return int(text)


def _numbers(name: str, text: str) -> tuple[int, ...]:
    low, high, signed = RANGES[name]
    numbers = []
    for item in text.split(","):
        number = int(item) if _NUMBER.fullmatch(item) else None
        sign_allowed = signed or item[:1] not in {"+", "-"}
        if number is None or not sign_allowed or not low <= abs(number) <= high:
            also = f" (or -{high} to -{low} from the end)" if signed else ""
            raise ConfigError(
                f"{name}: {item[:20]!r} is out of range", hint=f"write {low} to {high}{also}"
            )
        numbers.append(number)
    return tuple(sorted(set(numbers)))


def _days(text: str) -> tuple[tuple[int, int], ...]:
    days = []
    for item in text.split(","):
        match = _DAY.fullmatch(item)
        ordinal = int(match[1]) if match and match[1] else 0
        if match is None or (match[1] and not 1 <= abs(ordinal) <= 53):
            raise ConfigError(
                f"BYDAY: {item[:20]!r} is no day", hint=f"write {', '.join(WEEKDAYS)}, 2MO or -1FR"
            )
        days.append((ordinal, WEEKDAYS.index(match[2])))
    return tuple(dict.fromkeys(days))


def _weekday(text: str) -> int:
    if text not in WEEKDAYS:
        raise ConfigError(f"WKST: {text[:20]!r} is no day", hint=f"write {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(text)


def _until(text: str) -> datetime:
    hint = "write an instant in UTC: UNTIL=20261224T180000Z"
    if not _UNTIL.fullmatch(text):
        raise ConfigError(f"UNTIL={text[:20]} is no instant", hint=hint)
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise ConfigError(f"UNTIL={text} does not exist", hint=hint) from None

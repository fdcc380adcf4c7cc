"""The schedule of type ``rrule``."""

# ruff: noqa: DTZ901  # readings have no zone

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from alicia_schedule_rrule.clockwork import UNITS, Clockwork
from alicia_schedule_rrule.config import RRuleConfig, parse_reading
from alicia_schedule_rrule.periods import LongPeriods
from alicia_schedule_rrule.rule import Rule
from alicia_scheduler.api import (
    ClockPolicy,
    ConfigError,
    OnGap,
    OnRepeat,
    ScheduleContext,
    instants_of,
    next_instant,
)

__all__ = ["RRuleSchedule"]

BY_RULE = ClockPolicy(OnGap.SKIP, OnRepeat.FIRST)
"""A computed reading that does not exist is ignored (RFC 5545, section 3.3.10)."""

BY_DATE = ClockPolicy(OnGap.AFTER, OnRepeat.FIRST)
"""A reading that was written down is moved instead (section 3.3.5)."""

TWO_DAYS = timedelta(days=2)

COUNTED_YEARS = 400
"""Within so many years a COUNT must be used up: its end is found by counting."""


class Occurrences(Protocol):
    """The readings of a rule, without its COUNT and UNTIL."""

    def readings_from(self, reading: datetime) -> Iterator[datetime]:
        """Those not earlier than ``reading``, ascending."""
        ...


@dataclass(frozen=True, slots=True)
class RuleReadings:
    """The readings of a rule up to the last that its COUNT allows, but for some dates."""

    occurrences: Occurrences
    last: datetime | None
    excluded: frozenset[datetime]

    def first_from(self, reading: datetime) -> datetime | None:
        """The first that is not earlier than ``reading``, or None."""
        for occurrence in self.occurrences.readings_from(reading):
            if self.last is not None and occurrence > self.last:
                return None
            if occurrence not in self.excluded:
                return occurrence
        return None


@dataclass(frozen=True, slots=True)
class DateReadings:
    """Readings from a list, ascending."""

    dates: tuple[datetime, ...]

    def first_from(self, reading: datetime) -> datetime | None:
        """The first that is not earlier than ``reading``, or None."""
        index = bisect_left(self.dates, reading)
        return self.dates[index] if index < len(self.dates) else None


@dataclass(frozen=True, slots=True)
class RRuleSchedule:
    """Runs at the readings of a rule, and at some more.

    Attributes:
        before: an instant (aware UTC) before all slots.
        by_rule: what the rule gives.
        until: the last instant (aware UTC) for it, or None.
        by_date: the readings that were added.
        zone: whose wall clock is read.
        rule_policy, date_policy: how each of the two meets changes of that clock.
        label: for people.
    """

    before: datetime
    by_rule: RuleReadings
    until: datetime | None
    by_date: DateReadings
    zone: ZoneInfo
    rule_policy: ClockPolicy
    date_policy: ClockPolicy
    label: str

    @classmethod
    def build(cls, config: RRuleConfig, context: ScheduleContext) -> RRuleSchedule:
        """The schedule of a configuration.

        Raises:
            ConfigError: the rule or a date cannot be read, nothing ever occurs, or there is no
                zone.
        """
        zone = context.require_timezone()
        dtstart = _start(config.dtstart)
        excluded = frozenset(_readings("exdate", config.exdate))
        added = tuple(sorted(set(_readings("rdate", config.rdate)) - excluded))
        rule_policy = BY_RULE.with_rules(context.dst_gap, context.dst_overlap)
        try:
            rule = Rule.parse(config.rrule)
            engine = Clockwork if rule.frequency in UNITS else LongPeriods
            occurrences: Occurrences = engine(rule, dtstart)
            last = _last(rule, dtstart, occurrences, zone, rule_policy)
        except ConfigError as error:
            raise error.under("rrule") from None
        schedule = cls(
            _before(dtstart, added),
            RuleReadings(occurrences, last, excluded),
            rule.until,
            DateReadings(added),
            zone,
            rule_policy,
            BY_DATE.with_rules(context.dst_gap, context.dst_overlap),
            f"{config.rrule} from {dtstart:%Y-%m-%d %H:%M:%S} ({zone.key})",
        )
        if schedule.next_after(schedule.before) is None:
            raise ConfigError(
                "nothing ever occurs by this rule",
                path=("rrule",),
                hint="compare its parts with each other, and UNTIL and exdate with dtstart",
            )
        return schedule

    def next_after(self, instant: datetime) -> datetime | None:
        """The first slot strictly later than ``instant``."""
        # Nobody need walk the centuries up to the first one.
        instant = max(instant, self.before)
        ruled = next_instant(self.by_rule, instant, self.zone, self.rule_policy)
        if ruled is not None and self.until is not None and ruled > self.until:
            ruled = None
        added = next_instant(self.by_date, instant, self.zone, self.date_policy)
        return min((slot for slot in (ruled, added) if slot is not None), default=None)

    def describe(self) -> str:
        """The rule, its start and the zone."""
        return self.label


def _readings(key: str, values: list[object]) -> list[datetime]:
    readings = []
    for index, value in enumerate(values):
        try:
            readings.append(parse_reading(value))
        except ConfigError as error:
            raise error.under(index).under(key) from None
    return readings


def _start(value: object) -> datetime:
    try:
        return parse_reading(value)
    except ConfigError as error:
        raise error.under("dtstart") from None


def _before(dtstart: datetime, added: tuple[datetime, ...]) -> datetime:
    """An instant before all readings, in whatever zone."""
    first = min((dtstart, *added[:1]))
    return max(first, datetime.min + TWO_DAYS).replace(tzinfo=UTC) - TWO_DAYS


def _last(
    rule: Rule, dtstart: datetime, occurrences: Occurrences, zone: ZoneInfo, policy: ClockPolicy
) -> datetime | None:
    """The last reading that COUNT allows; None when it allows all.

    It counts from DTSTART, and does not count what the policy leaves out.
    """
    if rule.count is None:
        return None
    counted = 0
    for reading in occurrences.readings_from(dtstart):
        if reading.year > dtstart.year + COUNTED_YEARS:
            raise ConfigError(
                f"COUNT={rule.count} is not used up in {COUNTED_YEARS} years", hint="use UNTIL"
            )
        if policy.gap is OnGap.AFTER or _exists(reading, zone):
            counted += 1
        if counted == rule.count:
            return reading
    return None


def _exists(reading: datetime, zone: ZoneInfo) -> bool:
    try:
        return bool(instants_of(reading, zone))
    except OverflowError:
        return True

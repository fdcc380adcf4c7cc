"""Local time: what the clocks of a zone do, and the walk from readings to instants.

A *reading* is what a wall clock shows: a naive ``datetime``. An *instant* is a point in absolute
time: an aware ``datetime`` in UTC. A schedule by the wall clock only has to name its readings
(:class:`Readings`); :func:`next_instant` turns them into instants across clock changes of any
size, at any minute. Everything here is pure, and arithmetic is done in UTC or on readings, never
on local aware datetimes, which Python compares and subtracts by what their clocks show.

When a clock is changed there are two kinds of trouble. A **gap** is the span of readings that is
left out when it goes forward. A **repeated** span is the readings that come twice when it goes
back, once in the *first pass* and once in the *second*. Neither has to be an hour (half of one on
Lord Howe Island, two at Troll station), begin on the hour (Chatham), or stay within a day (Samoa
left out the whole of 2011-12-30), so nothing here assumes it: the facts come from the zone data.
"""

# ruff: noqa: DTZ001, DTZ901  # the first and last reading there are have no zone, as all readings

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from alicia_scheduler.api.zones import load_timezone

__all__ = [
    "ClockChange",
    "ClockPolicy",
    "OnGap",
    "OnRepeat",
    "Readings",
    "clock_changes",
    "first_instant",
    "instants_of",
    "load_timezone",
    "next_instant",
    "reading_at",
]

ZERO = timedelta(0)
MICROSECOND = timedelta(microseconds=1)
SECOND = timedelta(seconds=1)

EARLIEST = datetime(1, 1, 3, tzinfo=UTC)
LATEST = datetime(9999, 12, 29, tzinfo=UTC)
"""Zone data are asked between these: beyond, the local time of some zone leaves the calendar."""

LAST_SIMPLE = datetime(9999, 12, 28)
"""From this reading on, its instant may lie beyond the calendar."""

PROBE = timedelta(days=2)
"""How far apart a year is probed for changes of the clock. Two changes that cancel each other have
never been closer than just under four days (Freetown, September 1939); a test holds this against
the installed zone data."""

FROM_HERE_BY_RULE = 2100
"""From this year on zone data list no changes one by one (theirs end in 2037 or, where Ramadan
counts, in 2087); a test holds this against the installed zone data."""

CALENDAR_CYCLE = 400
DAYS_OF_A_CYCLE = timedelta(days=146_097)
"""After so many years, which are so many days, the calendar repeats, weekdays included."""

FARTHEST_BACK = timedelta(days=2)
"""More than clocks have ever been set back (a day less an hour, Kwajalein 1969). So long after
the last reading of a schedule it may still come again."""


@dataclass(frozen=True, slots=True)
class ClockChange:
    """A change of a zone's clocks.

    Attributes:
        at: the instant: the first one at which the new offset holds.
        offset_before, offset_after: local time minus UTC on either side.
    """

    at: datetime
    offset_before: timedelta
    offset_after: timedelta

    @property
    def size(self) -> timedelta:
        """How far the clocks move: positive makes a gap, negative makes a repeated span."""
        return self.offset_after - self.offset_before

    @property
    def reading_before(self) -> datetime:
        """What the clocks would have shown at :attr:`at`: where a gap begins, or where a repeated
        span ends."""
        return _reading(self.at, self.offset_before)

    @property
    def reading_after(self) -> datetime:
        """What the clocks show at :attr:`at`: where a gap ends, or where a repeated span begins."""
        return _reading(self.at, self.offset_after)


def reading_at(instant: datetime, zone: ZoneInfo) -> datetime:
    """What the wall clocks of ``zone`` show at ``instant``, as a naive datetime.

    Where that would lie outside the years 1 to 9999, it is the first or last reading there is.
    """
    return _reading(instant.astimezone(UTC), _offset_at(instant, zone))


def instants_of(reading: datetime, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Every instant at which the clocks of ``zone`` show ``reading``, in order.

    None when the reading falls in a gap, two when it is repeated, otherwise one.

    Raises:
        OverflowError: an instant lies outside the years 1 to 9999 in UTC.
    """
    passes = {_instant(reading, _offset_of(reading, zone, fold)) for fold in (0, 1)}
    return tuple(sorted(instant for instant in passes if reading_at(instant, zone) == reading))


def first_instant(reading: datetime, zone: ZoneInfo) -> datetime:
    """The one instant that stands for ``reading``: its only one, the one of the first pass when it
    is repeated, or the first instant after the gap when no clock ever shows it.

    Raises:
        OverflowError: the instant lies outside the years 1 to 9999 in UTC.
    """
    by_old_offset = _instant(reading, _offset_of(reading, zone, 0))
    if reading_at(by_old_offset, zone) == reading:
        return by_old_offset
    by_new_offset = _instant(reading, _offset_of(reading, zone, 1))
    return _only_change(by_new_offset, by_old_offset, zone).at


def clock_changes(after: datetime, until: datetime, zone: ZoneInfo) -> Iterator[ClockChange]:
    """The changes of the clocks of ``zone`` with ``after < change.at <= until``, in order."""
    for year in range(after.year, until.year + 1):
        for change in _changes_in(year, zone):
            if change.at > until:
                return
            if change.at > after:
                yield change


def _changes_in(year: int, zone: ZoneInfo) -> tuple[ClockChange, ...]:
    """The changes in a year of UTC.

    From :data:`FROM_HERE_BY_RULE` on a zone has one rule by month, week and weekday for ever
    (RFC 9636, section 3.3.1), and the calendar repeats after 400 years, which are whole weeks.
    """
    if year < FROM_HERE_BY_RULE + CALENDAR_CYCLE:
        return _probed_changes_in(year, zone)
    cycles = (year - FROM_HERE_BY_RULE) // CALENDAR_CYCLE
    return tuple(
        replace(change, at=change.at + cycles * DAYS_OF_A_CYCLE)
        for change in _probed_changes_in(year - cycles * CALENDAR_CYCLE, zone)
    )


@lru_cache(maxsize=2048)
def _probed_changes_in(year: int, zone: ZoneInfo) -> tuple[ClockChange, ...]:
    """The changes in a year of UTC."""
    changes = []
    low = max(EARLIEST, datetime(year, 1, 1, tzinfo=UTC) - SECOND) if year > 1 else EARLIEST
    end = min(LATEST, datetime(year, 12, 31, 23, 59, 59, tzinfo=UTC))
    offset = _offset_at(low, zone)
    while low < end:
        high = min(low + PROBE, end)
        offset_at_high = _offset_at(high, zone)
        if offset_at_high != offset:
            changes.append(_only_change(low, high, zone))
        low, offset = high, offset_at_high
    return tuple(changes)


def _only_change(low: datetime, high: datetime, zone: ZoneInfo) -> ClockChange:
    """The change with ``low < at <= high``, by bisection to the second, which is as fine as zone
    data are."""
    before, after = _offset_at(low, zone), _offset_at(high, zone)
    start = low.replace(microsecond=0)
    early, late = 0, -((start - high) // SECOND)
    while late - early > 1:
        middle = (early + late) // 2
        if _offset_at(start + middle * SECOND, zone) == before:
            early = middle
        else:
            late = middle
    return ClockChange(start + late * SECOND, before, after)


def _offset_at(instant: datetime, zone: ZoneInfo) -> timedelta:
    """Local time minus UTC at an instant."""
    inside = min(max(instant, EARLIEST), LATEST)
    return inside.astimezone(zone).utcoffset() or ZERO


def _offset_of(reading: datetime, zone: ZoneInfo, fold: int) -> timedelta:
    """The offset before (``fold`` 0) or after (1) the change that ``reading`` falls into (PEP 495).
    For an ordinary reading both are the same."""
    return reading.replace(tzinfo=zone, fold=fold).utcoffset() or ZERO


def _reading(instant: datetime, offset: timedelta) -> datetime:
    try:
        return (instant + offset).replace(tzinfo=None)
    except OverflowError:
        return datetime.max if offset > ZERO else datetime.min


def _instant(reading: datetime, offset: timedelta) -> datetime:
    return (reading - offset).replace(tzinfo=UTC)


class Readings(Protocol):
    """The readings that a schedule names, as a set that can be searched upwards."""

    def first_from(self, reading: datetime) -> datetime | None:
        """The first named reading that is not earlier than ``reading``, or None.

        Both are naive. Pure, and bounded in time.
        """
        ...


class OnGap(StrEnum):
    """What becomes of readings that fall in a gap."""

    AFTER = "after"
    """All of them together run once, at the first instant after the gap."""
    SKIP = "skip"
    """They do not run."""


class OnRepeat(StrEnum):
    """What becomes of readings that come twice."""

    FIRST = "first"
    """They run in the first pass only."""
    SECOND = "second"
    """They run in the second pass only."""

    BOTH = "both"
    """They run in each pass."""


@dataclass(frozen=True, slots=True)
class ClockPolicy:
    """How a schedule by the wall clock meets the changes of that clock.

    Attributes:
        gap: the rule for readings that are left out.
        repeat: the rule for readings that come twice.
        below: both rules hold for changes smaller than this; a larger one is taken as it comes
            (skip the gap, run in both passes). None: they hold for every change.
    """

    gap: OnGap = OnGap.AFTER
    repeat: OnRepeat = OnRepeat.FIRST
    below: timedelta | None = None

    def catches_up(self, change: ClockChange) -> bool:
        """Whether readings in the gap of ``change`` run after it."""
        return change.size > ZERO and self.gap is OnGap.AFTER and self._covers(change)

    def drops_second_pass(self, change: ClockChange) -> bool:
        """Whether readings in the span that ``change`` repeats run in the first pass only."""
        return change.size < ZERO and self.repeat is OnRepeat.FIRST and self._covers(change)

    def drops_first_pass(self, change: ClockChange) -> bool:
        """Whether readings in the span that ``change`` repeats run in the second pass only."""
        return change.size < ZERO and self.repeat is OnRepeat.SECOND and self._covers(change)

    def with_rules(self, gap: str | None, repeat: str | None) -> ClockPolicy:
        """This policy with an event's own rules in the place of its own.

        Args:
            gap: ``ScheduleContext.dst_gap``: ``after``, ``skip``, or None for this policy's rule.
            repeat: ``ScheduleContext.dst_overlap``: ``first``, ``second``, ``both``, or None.

        Returns:
            The same policy when both are None. Otherwise one that holds for changes of any size:
            who names a rule wants it kept.
        """
        if gap is None and repeat is None:
            return self
        return ClockPolicy(
            self.gap if gap is None else OnGap(gap),
            self.repeat if repeat is None else OnRepeat(repeat),
        )

    def _covers(self, change: ClockChange) -> bool:
        return self.below is None or abs(change.size) < self.below


def next_instant(
    readings: Readings, after: datetime, zone: ZoneInfo, policy: ClockPolicy
) -> datetime | None:
    """The first instant strictly later than ``after`` that ``readings`` and ``policy`` give.

    Args:
        readings: what the schedule names.
        after: an aware UTC instant.
        zone: whose wall clock is read.
        policy: how changes of that clock are met.

    Returns:
        An aware UTC instant, or None when there is none before the year 10000.
    """
    if EARLIEST < after < LATEST:
        start = after.astimezone(zone).replace(tzinfo=None, fold=0)
        if _offset_of(start, zone, 0) == _offset_of(start, zone, 1):
            return _from_ordinary(readings, start, after, zone, policy)
    offset = _offset_at(after, zone)
    beginning = _start(after, offset, zone, policy)
    if beginning is None:
        return None
    found = readings.first_from(beginning)
    return _by_stretches(readings, _Search(after, offset, beginning, found), zone, policy)


def _from_ordinary(
    readings: Readings, shown: datetime, after: datetime, zone: ZoneInfo, policy: ClockPolicy
) -> datetime | None:
    """:func:`next_instant` from an instant whose reading, ``shown``, is neither repeated nor left
    out. Then no clock will show a reading again that lies behind it. So when the next named
    reading is an ordinary one too, it is the answer, whatever the clocks do on the way."""
    start = shown + MICROSECOND
    reading = readings.first_from(start)
    if reading is None:
        return None
    offset = _offset_of(reading, zone, 0)
    if offset == _offset_of(reading, zone, 1) and reading < LAST_SIMPLE:
        return (reading - offset).replace(tzinfo=UTC)
    begun = _Search(after, _offset_of(shown, zone, 0), start, reading)
    return _by_stretches(readings, begun, zone, policy)


@dataclass(frozen=True, slots=True)
class _Search:
    """How far a search has come.

    Attributes:
        after: the instant that the next one is looked for behind.
        offset: the one that holds there.
        searched: the reading from which the search began.
        found: the reading that came of it.
    """

    after: datetime
    offset: timedelta
    searched: datetime
    found: datetime | None


def _by_stretches(
    readings: Readings, begun: _Search, zone: ZoneInfo, policy: ClockPolicy
) -> datetime | None:
    """:func:`next_instant` through stretches of constant offset, whatever the clocks do.

    Within one, the next reading is looked for as if the offset held for ever. When the clock
    changes on the way there (or exactly there), the policy says whether the change itself is the
    answer, and from which reading the search goes on under the new offset.
    """
    after, offset, searched, reading = begun.after, begun.offset, begun.searched, begun.found
    while True:
        try:
            until = after + FARTHEST_BACK if reading is None else _instant(reading, offset)
        except OverflowError:
            return None
        change = next(clock_changes(after, until, zone), None)
        if change is None:
            if reading is None:
                return None
            coming = _coming_repeat(reading, until, zone)
            if coming is None or not policy.drops_first_pass(coming):
                return until
            after, searched = until, coming.reading_before
            reading = readings.first_from(searched)
            continue
        if policy.catches_up(change) and reading is not None and reading < change.reading_after:
            return change.at
        reached = change.reading_after
        known = searched <= reached and (reading is None or reading >= reached)
        if not known and not policy.drops_second_pass(change):
            searched = reached
            reading = readings.first_from(searched)
        after, offset = change.at, change.offset_after


def _coming_repeat(reading: datetime, instant: datetime, zone: ZoneInfo) -> ClockChange | None:
    """The change that will show ``reading`` a second time, when ``instant`` is its first pass."""
    if _offset_of(reading, zone, 1) >= _offset_of(reading, zone, 0):
        return None  # not repeated
    change = next(clock_changes(instant, instant + FARTHEST_BACK, zone), None)
    return change if change is not None and reading >= change.reading_after else None


def _start(
    after: datetime, offset: timedelta, zone: ZoneInfo, policy: ClockPolicy
) -> datetime | None:
    """The first reading later than ``after`` that may run under ``offset``, or None at the end of
    the calendar. Within a second pass that is dropped, it is the end of that pass."""
    reading = _reading(after, offset)
    if reading == datetime.max:
        return None
    offset_of_first_pass = _offset_of(reading, zone, 0)
    if offset_of_first_pass > offset:
        first_pass = _instant(reading, offset_of_first_pass)
        change = next(clock_changes(first_pass, after, zone))
        if policy.drops_second_pass(change):
            return change.reading_before
    return reading + MICROSECOND

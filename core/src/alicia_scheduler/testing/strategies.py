"""Hypothesis strategies for what is hard about time: zones, their clock changes, and instants."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from hypothesis import strategies as st

from alicia_scheduler.api import ClockChange, clock_changes, load_timezone

__all__ = ["TELLING_ZONES", "aware_instants", "instants_near_changes", "transitions", "zones"]

TELLING_ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Europe/Dublin",
    "Australia/Lord_Howe",
    "Pacific/Apia",
    "Pacific/Kiritimati",
    "Asia/Kathmandu",
    "Asia/Gaza",
    "Africa/Casablanca",
    "Africa/Monrovia",
    "America/Sao_Paulo",
    "Antarctica/Troll",
)
"""Zones in which programs fail: changes of half an hour and of two, a day left out, negative
daylight saving time, changes at midnight, around Ramadan, and by a government's late decision."""


@cache
def _named() -> list[str]:
    return sorted(name for name in available_timezones() if "/" in name)


def zones(names: Sequence[str] | None = None) -> st.SearchStrategy[ZoneInfo]:
    """Time zones: mostly :data:`TELLING_ZONES`, sometimes any other; or one of ``names``."""
    if names is not None:
        return st.sampled_from(list(names)).map(load_timezone)
    telling = st.sampled_from(TELLING_ZONES)
    return st.one_of(telling, telling, st.deferred(lambda: st.sampled_from(_named()))).map(
        load_timezone
    )


def aware_instants(
    earliest: datetime = datetime(1970, 1, 1, tzinfo=UTC),
    latest: datetime = datetime(2200, 1, 1, tzinfo=UTC),
) -> st.SearchStrategy[datetime]:
    """Aware UTC datetimes between two aware instants, often whole minutes."""
    naive = st.datetimes(
        earliest.astimezone(UTC).replace(tzinfo=None), latest.astimezone(UTC).replace(tzinfo=None)
    )
    whole = naive.map(lambda moment: moment.replace(second=0, microsecond=0))
    return (
        st.one_of(naive, whole)
        .map(lambda moment: moment.replace(tzinfo=UTC))
        .filter(lambda instant: instant >= earliest)
    )


@cache
def _changes(key: str, first: int, last: int) -> tuple[ClockChange, ...]:
    start, end = datetime(first, 1, 1, tzinfo=UTC), datetime(last + 1, 1, 1, tzinfo=UTC)
    return tuple(clock_changes(start, end, load_timezone(key)))


@st.composite
def transitions(
    draw: st.DrawFn, names: Sequence[str] = TELLING_ZONES, years: tuple[int, int] = (2000, 2037)
) -> tuple[ZoneInfo, ClockChange]:
    """A zone and one of its clock changes, between the first and the last of the years."""
    changing = [name for name in names if _changes(name, *years)]
    if not changing:
        raise ValueError(f"no clock of {', '.join(names)} is changed from {years[0]} to {years[1]}")
    name = draw(st.sampled_from(changing))
    return load_timezone(name), draw(st.sampled_from(_changes(name, *years)))


@st.composite
def instants_near_changes(
    draw: st.DrawFn,
    within: timedelta = timedelta(hours=3),
    names: Sequence[str] = TELLING_ZONES,
) -> tuple[ZoneInfo, datetime]:
    """A zone and an aware UTC instant near one of its clock changes."""
    zone, change = draw(transitions(names))
    seconds = within.total_seconds()
    offset = draw(
        st.one_of(
            st.sampled_from([0.0, -1e-6, 1e-6, -1.0, 1.0, -1800.0, 1800.0, -3600.0, 3600.0]),
            st.floats(-seconds, seconds),
        )
    )
    return zone, change.at + timedelta(seconds=offset)

"""The schedule type ``once``: one instant, in every notation."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta, timezone
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_schedule_once import alicia_schedule_types
from alicia_schedule_once.config import OnceConfig
from alicia_schedule_once.schedule import OnceSchedule
from alicia_scheduler.api import ConfigError, ScheduleContext

LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def build(raw, zone="Europe/Berlin"):
    timezone = None if zone is None else ZoneInfo(zone)
    context = ScheduleContext(timezone=timezone, anchor=datetime(2024, 1, 1, tzinfo=UTC))
    return OnceSchedule.build(msgspec.convert(raw, OnceConfig), context)


def instant_of(value, zone="Europe/Berlin"):
    return build({"run_at": value}, zone).next_after(LONG_AGO)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_plugin_offers_the_type_once():
    (offer,) = alicia_schedule_types()
    context = ScheduleContext(timezone=None, anchor=LONG_AGO)
    schedule = offer.build(OnceConfig(run_at=0), context)
    assert (offer.name, offer.config) == ("once", OnceConfig)
    assert schedule.next_after(LONG_AGO) == utc("1970-01-01T00:00")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2024-06-01T12:00", "2024-06-01T10:00"),
        ("2024-06-01T12:00:30", "2024-06-01T10:00:30"),
        ("2024-06-01T12:00:30.25", "2024-06-01T10:00:30.25"),
        ("2024-06-01T12:00Z", "2024-06-01T12:00"),
        ("2024-06-01T12:00:30.000001Z", "2024-06-01T12:00:30.000001"),
        ("2024-06-01T12:00+05:45", "2024-06-01T06:15"),
        ("2024-06-01T12:00:00-09:30", "2024-06-01T21:30"),
        (1_700_000_000, "2023-11-14T22:13:20"),
        (1_700_000_000.25, "2023-11-14T22:13:20.25"),
        (0, "1970-01-01T00:00"),
        (-1, "1969-12-31T23:59:59"),
        (datetime(2024, 6, 1, 12), "2024-06-01T10:00"),
        (datetime(2024, 6, 1, 12, tzinfo=UTC), "2024-06-01T12:00"),
        (datetime(2024, 6, 1, 12, tzinfo=timezone(timedelta(hours=-3))), "2024-06-01T15:00"),
    ],
)
def test_every_notation_names_an_instant(value, expected):
    assert instant_of(value) == utc(expected)


def test_both_keys_mean_the_same():
    assert build({"timestamp": 86_400}) == build({"run_at": 86_400})
    assert build({"timestamp": "2024-06-01T12:00"}) == build({"run_at": "2024-06-01T12:00"})


@pytest.mark.parametrize("raw", [{}, {"run_at": 1, "timestamp": 1}, {"at": 1}, None, 1, "now"])
def test_a_configuration_of_another_shape_is_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        build(raw)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "tomorrow",
        "2024-06-01",
        "2024-06-01 12:00",
        "20240601T120000",
        "2024-W01-1T00:00",
        "2024-6-1T1:1",
        "2024-06-01T12",
        "2024-06-01T12:00:00.1234567",
        "2024-06-01T12:00:00,5",
        "2024-06-01T12:00+0200",
        "2024-06-01T12:00+24:00",
        "2024-06-01T12:00+02:60",
        "2024-06-01T12:00z",
        "2024-06-01T12:00Z\n",
        " 2024-06-01T12:00Z",
        "２０２４-06-01T12:00Z",
        "2024-02-30T12:00",
        "2023-02-29T12:00",
        "2024-06-01T24:00",
        "2024-06-01T12:60",
        "2016-12-31T23:59:60Z",
        "0000-01-01T00:00Z",
        "10000-01-01T00:00Z",
        "x" * 10_000,
        None,
        True,
        [],
        {},
        date(2024, 6, 1),
        time(12),
        float("nan"),
        float("inf"),
    ],
)
def test_what_names_no_instant_is_refused_at_its_key(value):
    with pytest.raises(ConfigError) as refusal:
        build({"run_at": value})
    assert refusal.value.path == ("run_at",)


@pytest.mark.parametrize(
    ("value", "zone"),
    [
        ("9999-12-31T23:59:59-01:00", None),
        ("9999-12-31T20:00:00", "America/New_York"),
        ("0001-01-01T00:00:00", "Asia/Tokyo"),
        (253_402_300_800, None),
        (1e300, None),
        (10**400, None),
        (-(10**18), None),
    ],
)
def test_an_instant_outside_the_calendar_is_refused(value, zone):
    with pytest.raises(ConfigError, match="outside the years 1 to 9999"):
        instant_of(value, zone)


def test_milliseconds_are_recognised():
    with pytest.raises(ConfigError) as refusal:
        build({"timestamp": 1_700_000_000_000})
    assert refusal.value.hint == "this looks like milliseconds; in seconds it is 1700000000.000"


def test_a_local_reading_without_a_zone_is_refused():
    with pytest.raises(ConfigError, match="needs a time zone"):
        instant_of("2024-06-01T12:00", zone=None)


def test_with_an_offset_no_zone_is_needed():
    assert instant_of("2024-06-01T12:00Z", zone=None) == utc("2024-06-01T12:00")


def test_a_local_reading_in_a_gap_is_the_first_instant_after_it():
    assert instant_of("2024-03-31T02:30") == utc("2024-03-31T01:00")
    assert instant_of("2011-12-30T12:00", "Pacific/Apia") == utc("2011-12-30T10:00")


def test_a_local_reading_that_comes_twice_is_its_first_occurrence():
    assert instant_of("2024-10-27T02:30") == utc("2024-10-27T00:30")


def test_the_run_is_over_once_it_is_reached():
    schedule = build({"run_at": "2024-06-01T12:00Z"})
    noon = utc("2024-06-01T12:00")
    assert schedule.next_after(noon - timedelta(microseconds=1)) == noon
    assert schedule.next_after(noon) is None


def test_it_describes_itself_by_the_local_clock():
    assert build({"run_at": 1_700_000_000}).describe() == (
        "once at 2023-11-14 23:13:20 (Europe/Berlin)"
    )
    assert build({"run_at": 1_700_000_000}, zone=None).describe() == (
        "once at 2023-11-14 22:13:20 (UTC)"
    )


def test_it_describes_itself_where_the_local_clock_leaves_the_calendar():
    assert build({"run_at": "9999-12-31T23:30Z"}, "Asia/Tokyo").describe() == (
        "once at 9999-12-31 23:59:59 (Asia/Tokyo)"
    )


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)), st.datetimes(timezones=st.just(UTC)))
def test_the_answer_is_the_instant_or_nothing(run_at, asked):
    answer = build({"run_at": run_at.isoformat().replace("+00:00", "Z")}).next_after(asked)
    assert answer == (run_at if run_at > asked else None)

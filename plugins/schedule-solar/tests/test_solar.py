"""The schedule type ``solar``: where it runs, on what days, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_schedule_solar.config import SolarConfig
from alicia_schedule_solar.schedule import SolarSchedule
from alicia_schedule_solar.sun import day_of
from alicia_scheduler.api import ConfigError, ScheduleContext

BERLIN = {"latitude": 52.52, "longitude": 13.405}
LONGYEARBYEN = {"latitude": 78.2232, "longitude": 15.6267}
MINUTE = timedelta(minutes=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def solar(*, host: tuple[float, float] | None = None, **config: object) -> SolarSchedule:
    latitude, longitude = host or (None, None)
    context = ScheduleContext(
        timezone=None, anchor=utc("2024-01-01"), latitude=latitude, longitude=longitude
    )
    return SolarSchedule.build(msgspec.convert(config, SolarConfig), context)


def runs(schedule: SolarSchedule, after: str, count: int) -> list[datetime]:
    found, at = [], utc(after)
    while len(found) < count and (at := schedule.next_after(at)) is not None:
        found.append(at)
    return found


def test_an_offset_shifts_every_run():
    plain = runs(solar(event="sunset", **BERLIN), "2024-06-01", 5)
    early = runs(solar(event="sunset", offset_minutes=-90, **BERLIN), "2024-06-01", 5)
    assert early == [run - 90 * MINUTE for run in plain]


def test_noon_is_between_sunrise_and_sunset():
    rise, noon, fall = (
        runs(solar(event=event, **BERLIN), "2024-03-20", 1)[0]
        for event in ("sunrise", "noon", "sunset")
    )
    assert abs((noon - rise) - (fall - noon)) < 2 * MINUTE


def test_twilights_come_in_their_order():
    dusks = [
        runs(solar(event="dusk", twilight=twilight, **BERLIN), "2024-03-20T12:00", 1)[0]
        for twilight in ("civil", "nautical", "astronomical")
    ]
    assert dusks == sorted(dusks)


def test_an_elevation_is_passed_where_sunrise_is_when_it_is_that_of_sunrise():
    angle = solar(event="elevation", angle=-0.833, direction="rising", **BERLIN)
    assert runs(angle, "2024-05-01", 3) == runs(solar(event="sunrise", **BERLIN), "2024-05-01", 3)


def test_the_place_of_the_host_is_used_when_the_event_has_none():
    of_host = solar(event="sunrise", host=(52.52, 13.405))
    assert runs(of_host, "2024-05-01", 3) == runs(solar(event="sunrise", **BERLIN), "2024-05-01", 3)


def test_the_place_of_the_event_comes_first():
    own = solar(event="sunrise", host=(0.0, 0.0), **BERLIN)
    assert runs(own, "2024-05-01", 1) == runs(solar(event="sunrise", **BERLIN), "2024-05-01", 1)


def test_in_polar_night_the_next_real_sunrise_comes():
    (sunrise,) = runs(solar(event="sunrise", **LONGYEARBYEN), "2023-11-15", 1)
    assert utc("2024-02-10") < sunrise < utc("2024-02-20")


def test_in_polar_night_nearest_is_noon():
    sunrise = runs(solar(event="sunrise", polar="nearest", **LONGYEARBYEN), "2023-12-20", 5)
    assert sunrise == runs(solar(event="noon", **LONGYEARBYEN), "2023-12-20", 5)


@pytest.mark.parametrize("event", ["sunrise", "sunset"])
def test_in_polar_day_nearest_is_midnight_by_the_sun(event):
    schedule = solar(event=event, polar="nearest", **LONGYEARBYEN)
    for run in runs(schedule, "2024-06-10", 10):
        by_sundial = (day_of(run) * 24 + 15.6267 / 15) % 24
        assert min(by_sundial, 24 - by_sundial) < 0.3


@pytest.mark.parametrize("event", ["sunrise", "sunset", "dawn", "dusk"])
def test_nearest_runs_once_a_day_all_the_year(event):
    schedule = solar(event=event, polar="nearest", **LONGYEARBYEN)
    found = runs(schedule, "2024-01-01", 366)
    assert found[-1] - found[0] > timedelta(days=363)
    assert all(b - a > timedelta(hours=11) for a, b in pairwise(found))


@pytest.mark.parametrize("latitude", [90.0, -90.0])
def test_at_a_pole_the_sun_rises_once_a_year(latitude):
    found = runs(solar(event="sunrise", latitude=latitude, longitude=0.0), "2024-01-01", 3)
    assert [run.year for run in found] == [2024, 2025, 2026]


def test_an_angle_the_sun_never_reaches_is_refused():
    with pytest.raises(ConfigError, match="never"):
        solar(event="elevation", angle=70, direction="rising", **BERLIN)


def test_an_angle_the_sun_never_reaches_has_a_nearest():
    schedule = solar(event="elevation", angle=70, direction="rising", polar="nearest", **BERLIN)
    assert runs(schedule, "2024-05-01", 2) == runs(solar(event="noon", **BERLIN), "2024-05-01", 2)


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"event": "sunrise"}, ()),
        ({"event": "sunrise", "latitude": 52.5}, ()),
        ({"event": "sunrise", **BERLIN, "angle": 3}, ("angle",)),
        ({"event": "noon", **BERLIN, "polar": "skip"}, ("polar",)),
        ({"event": "elevation", **BERLIN, "angle": 3}, ()),
        ({"event": "sunrise", "latitude": 90.5, "longitude": 0}, ("latitude",)),
        ({"event": "sunrise", "latitude": 0, "longitude": float("nan")}, ("longitude",)),
        ({"event": "sunrise", **BERLIN, "offset_minutes": 1441}, ("offset_minutes",)),
    ],
)
def test_what_means_nothing_is_refused_at_its_place(config, path):
    with pytest.raises((ConfigError, msgspec.ValidationError)) as caught:
        solar(**config)
    error = caught.value if isinstance(caught.value, ConfigError) else caught.value.__cause__
    assert isinstance(error, ConfigError)
    assert tuple(error.path) == path


@settings(max_examples=200, deadline=None)
@given(
    st.floats(-90, 90),
    st.floats(-180, 180),
    st.sampled_from(["sunrise", "sunset", "dawn", "dusk", "noon"]),
    st.datetimes(datetime(1950, 1, 1), datetime(2099, 1, 1)),
)
def test_every_run_is_later_than_the_question_and_the_sun_is_at_the_angle(
    latitude, longitude, event, after
):
    schedule = solar(event=event, latitude=latitude, longitude=longitude)
    instant = after.replace(tzinfo=UTC)
    run = schedule.next_after(instant)
    assert run is not None
    assert instant < run < instant + timedelta(days=366)
    assert schedule.next_after(run - timedelta.resolution) == run
    if schedule.angle is not None:
        assert abs(schedule.sun.height(day_of(run)) - schedule.angle) < 0.01


def test_there_is_no_run_after_the_last_instant():
    assert solar(event="noon", **BERLIN).next_after(datetime.max.replace(tzinfo=UTC)) is None


def test_the_description_says_what_and_where():
    schedule = solar(event="sunset", offset_minutes=-20, **BERLIN)
    assert schedule.describe() == "20 minutes before sunset at 52.52, 13.405"

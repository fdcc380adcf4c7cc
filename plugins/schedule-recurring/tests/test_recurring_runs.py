"""When ``recurring`` runs: its days, its times, clock changes and the ends of the calendar."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_schedule_recurring.config import RecurringConfig
from alicia_schedule_recurring.schedule import RecurringSchedule
from alicia_scheduler.api import ScheduleContext, first_instant, reading_at

ONE_DAY = timedelta(days=1)
MICROSECOND = timedelta(microseconds=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def build(zone="UTC", **raw) -> RecurringSchedule:
    context = ScheduleContext(timezone=ZoneInfo(zone), anchor=utc("2024-01-01"))
    return RecurringSchedule.build(msgspec.convert(raw, RecurringConfig), context)


def runs(schedule: RecurringSchedule, after: str, count: int) -> list[datetime]:
    found, at = [], utc(after)
    while len(found) < count and (at := schedule.next_after(at)) is not None:
        found.append(at)
    return found


def days(schedule: RecurringSchedule, after: str, count: int) -> list[str]:
    return [f"{at:%m-%d}" for at in runs(schedule, after, count)]


def test_daily_runs_at_the_same_reading_when_the_offset_changes():
    schedule = build("Europe/Berlin", frequency="daily", time_of_day="07:30")
    assert runs(schedule, "2024-03-30T00:00", 3) == [
        utc("2024-03-30T06:30"),
        utc("2024-03-31T05:30"),
        utc("2024-04-01T05:30"),
    ]


def test_a_run_is_later_than_the_question_to_the_microsecond():
    schedule = build(frequency="daily", time_of_day="07:30:15")
    at = utc("2024-05-01T07:30:15")
    assert schedule.next_after(at - MICROSECOND) == at
    assert schedule.next_after(at) == at + ONE_DAY


def test_several_times_a_day_run_in_order():
    schedule = build(frequency="daily", time_of_day=["19:00", "07:30"])
    assert runs(schedule, "2024-05-01T00:00", 3) == [
        utc("2024-05-01T07:30"),
        utc("2024-05-01T19:00"),
        utc("2024-05-02T07:30"),
    ]


def test_weekly_counts_days_from_monday():
    by_number = build(frequency="weekly", days_of_week=[0, 6])
    by_name = build(frequency="weekly", days_of_week=["Sun", "mon"])
    assert days(by_number, "2024-05-01T00:00", 3) == ["05-05", "05-06", "05-12"]
    assert days(by_name, "2024-05-01T00:00", 3) == ["05-05", "05-06", "05-12"]


def test_monthly_skips_months_without_the_day():
    schedule = build(frequency="monthly", days_of_month=[31])
    assert days(schedule, "2024-01-31T12:00", 3) == ["03-31", "05-31", "07-31"]


def test_monthly_clamped_runs_on_the_last_day_instead():
    schedule = build(frequency="monthly", days_of_month=[31], short_month="clamp")
    assert days(schedule, "2024-01-31T12:00", 3) == ["02-29", "03-31", "04-30"]


def test_clamped_days_that_fall_together_are_one_run():
    schedule = build(frequency="monthly", days_of_month=[29, 30, 31, -1], short_month="clamp")
    assert days(schedule, "2023-02-01T00:00", 2) == ["02-28", "03-29"]


def test_the_last_day_follows_the_length_of_the_month():
    schedule = build(frequency="monthly", days_of_month=[-1])
    assert days(schedule, "2024-01-31T12:00", 3) == ["02-29", "03-31", "04-30"]


def test_a_time_in_a_gap_runs_when_the_gap_ends():
    schedule = build("Europe/Berlin", frequency="daily", time_of_day="02:30")
    assert utc("2024-03-31T01:00") in runs(schedule, "2024-03-30T12:00", 1)


def test_a_time_on_a_lost_day_runs_when_the_next_begins():
    schedule = build("Pacific/Apia", frequency="daily", time_of_day="09:00")
    assert runs(schedule, "2011-12-29T00:00", 3) == [
        utc("2011-12-29T19:00"),
        utc("2011-12-30T10:00"),
        utc("2011-12-30T19:00"),
    ]


def test_the_weekday_is_that_of_the_date_asked_for_also_when_the_gap_moves_the_run():
    # Friday, 30 December 2011 did not exist in Samoa.
    schedule = build("Pacific/Apia", frequency="weekly", days_of_week=["fri"])
    assert runs(schedule, "2011-12-29T00:00", 1) == [utc("2011-12-30T10:00")]


def test_a_time_that_comes_twice_runs_in_the_first_pass_only():
    schedule = build("Europe/Berlin", frequency="daily", time_of_day="02:30")
    assert runs(schedule, "2024-10-26T12:00", 2) == [
        utc("2024-10-27T00:30"),
        utc("2024-10-28T01:30"),
    ]
    assert runs(schedule, "2024-10-27T01:05", 1) == [utc("2024-10-28T01:30")]


def test_hourly_runs_at_the_top_of_every_hour_that_the_clock_shows():
    schedule = build("Europe/Berlin", frequency="hourly")
    assert runs(schedule, "2024-10-26T23:30", 3) == [
        utc("2024-10-27T00:00"),
        utc("2024-10-27T01:00"),
        utc("2024-10-27T02:00"),
    ]


def test_hourly_keeps_to_the_local_hour_in_zones_off_the_full_hour():
    schedule = build("Asia/Kathmandu", frequency="hourly")
    assert runs(schedule, "2024-05-01T00:00", 1) == [utc("2024-05-01T00:15")]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/New_York"])
@pytest.mark.parametrize(
    "raw",
    [
        {"frequency": "hourly"},
        {"frequency": "daily", "time_of_day": "23:59:59"},
        {"frequency": "weekly", "days_of_week": ["mon"]},
        {"frequency": "monthly", "days_of_month": [31]},
    ],
)
def test_at_the_end_of_the_calendar_there_are_no_more_runs(raw, zone):
    assert build(zone, **raw).next_after(utc("9999-12-31T23:59:59")) is None


ZONES = ["Africa/Cairo", "America/Sao_Paulo", "Australia/Lord_Howe", "Europe/Berlin", "UTC"]
times = st.times().map(lambda at: at.replace(microsecond=0))


@st.composite
def configurations(draw):
    """A configuration, and the predicate on dates that it stands for."""
    frequency = draw(st.sampled_from(["daily", "weekly", "monthly"]))
    if frequency == "daily":
        return {"frequency": frequency}, lambda day: True
    if frequency == "weekly":
        chosen = draw(st.lists(st.integers(0, 6), min_size=1))
        raw = {"frequency": frequency, "days_of_week": chosen}
        return raw, lambda day: day.weekday() in chosen
    chosen = draw(st.lists(st.sampled_from([*range(1, 32), -1]), min_size=1))
    short = draw(st.sampled_from(["skip", "clamp"]))

    def holds(day: date) -> bool:
        length = monthrange(day.year, day.month)[1]
        last = -1 in chosen or (short == "clamp" and max(chosen) > length)
        return day.day in chosen or (day.day == length and last)

    raw = {"frequency": frequency, "days_of_month": chosen, "short_month": short}
    return raw, holds


@settings(deadline=None)
@given(
    configurations(),
    st.lists(times, min_size=1, max_size=3),
    st.sampled_from(ZONES),
    st.datetimes(datetime(2010, 1, 1), datetime(2025, 1, 1), timezones=st.just(UTC)),
)
def test_the_runs_are_the_times_on_the_dates_that_a_look_at_every_date_finds(
    configuration, at, zone_name, after
):
    raw, holds = configuration
    zone = ZoneInfo(zone_name)
    schedule = build(zone_name, **raw, time_of_day=[f"{t:%H:%M:%S}" for t in at])
    today = reading_at(after, zone).date()
    window = [today + n * ONE_DAY for n in range(-1, 70)]
    end = first_instant(datetime.combine(window[-1], time()), zone)
    readings = [datetime.combine(day, t) for day in window if holds(day) for t in at]
    instants = {first_instant(reading, zone) for reading in readings}
    expected = sorted(instant for instant in instants if after < instant < end)
    found, cursor = [], after
    while (cursor := schedule.next_after(cursor)) is not None and cursor < end:
        found.append(cursor)
    assert found == expected

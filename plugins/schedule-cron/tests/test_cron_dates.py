"""Which dates an expression selects: the day rule, days by the shape of the month, the impossible.

The reference is a look at every single date.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_schedule_cron.config import CronConfig
from alicia_schedule_cron.schedule import CronSchedule
from alicia_scheduler.api import ConfigError, ScheduleContext

START = datetime(2024, 1, 1, tzinfo=UTC) - timedelta(seconds=1)
IN_UTC = ScheduleContext(timezone=ZoneInfo("UTC"), anchor=START)
ONE_DAY = timedelta(days=1)


def schedule(days: str, months: str, weekdays: str) -> CronSchedule:
    return CronSchedule.build(CronConfig(expression=f"0 0 {days} {months} {weekdays}"), IN_UTC)


def dates(days: str, months: str, weekdays: str, *, count: int, after=START) -> list[str]:
    found, cron = [], schedule(days, months, weekdays)
    while len(found) < count and (after := cron.next_after(after)) is not None:
        found.append(after.date().isoformat())
    return found


def test_with_both_day_fields_restricted_either_is_enough():
    assert dates("13", "*", "fri", count=3) == ["2024-01-05", "2024-01-12", "2024-01-13"]


def test_with_a_star_in_front_of_one_both_must_match():
    assert dates("*/2", "*", "mon", count=3) == ["2024-01-01", "2024-01-15", "2024-01-29"]
    assert dates("*/100,1-7", "*", "mon", count=3) == ["2024-01-01", "2024-02-05", "2024-03-04"]
    assert dates("13", "*", "*/5", count=2) == ["2024-09-13", "2024-10-13"]


def test_a_star_further_back_does_not_count():
    assert dates("13,*", "*", "mon", count=3) == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert dates("1-31", "*", "mon", count=3) == ["2024-01-01", "2024-01-02", "2024-01-03"]


def test_the_last_day_follows_the_length_of_the_month():
    assert dates("L", "*", "*", count=3) == ["2024-01-31", "2024-02-29", "2024-03-31"]


def test_the_last_day_and_a_weekday_are_alternatives():
    assert dates("L", "*", "tue", count=6)[-2:] == ["2024-01-30", "2024-01-31"]


def test_the_nearest_workday_does_not_leave_the_month():
    assert dates("1W", "jun", "*", count=1) == ["2024-06-03"]
    assert dates("LW", "mar,jun", "*", count=2) == ["2024-03-29", "2024-06-28"]


def test_an_nth_weekday_is_passed_over_in_months_without_it():
    assert dates("*", "*", "fri#5", count=2) == ["2024-03-29", "2024-05-31"]


def test_a_list_may_mix_weekdays_with_nth_and_last_ones():
    assert dates("*", "feb", "mon,fri#2,L0", count=6) == [
        "2024-02-05",
        "2024-02-09",
        "2024-02-12",
        "2024-02-19",
        "2024-02-25",
        "2024-02-26",
    ]


def test_leap_days_are_found_across_a_century_without_one():
    after = datetime(2096, 3, 1, tzinfo=UTC)
    assert dates("29", "2", "*", count=2, after=after) == ["2104-02-29", "2108-02-29"]


def test_a_leap_day_on_a_sunday_is_found_forty_years_ahead():
    after = datetime(2088, 3, 1, tzinfo=UTC)
    assert dates("29", "2", "*/20", count=1, after=after) == ["2128-02-29"]


def test_a_side_of_the_either_rule_that_never_matches_is_no_hindrance():
    assert dates("31", "2", "mon", count=2) == ["2024-02-05", "2024-02-12"]


@pytest.mark.parametrize(
    ("days", "months", "weekdays"),
    [
        ("30", "2", "*"),
        ("30,31", "feb", "*"),
        ("31", "4,6,9,11", "*"),
        ("31", "11", "*/2"),
        ("*/31", "*", "fri#5"),
        ("15W", "*", "*/6"),
    ],
)
def test_an_expression_that_no_date_matches_is_refused(days, months, weekdays):
    with pytest.raises(ConfigError, match="no date in any year"):
        schedule(days, months, weekdays)


def test_at_the_end_of_the_calendar_there_are_no_more_dates():
    assert dates("31", "12", "*", count=5, after=datetime(9998, 12, 1, tzinfo=UTC)) == [
        "9998-12-31",
        "9999-12-31",
    ]
    assert dates("29", "2", "*", count=5, after=datetime(9996, 12, 1, tzinfo=UTC)) == []


def test_in_the_first_year_of_the_calendar_dates_are_found():
    assert dates("2", "*", "*", count=1, after=datetime.min.replace(tzinfo=UTC)) == ["0001-01-02"]


VALUES = {"days": (1, 31), "weekdays": (0, 7), "months": (1, 12)}


@st.composite
def field(draw, name):
    first, last = VALUES[name]
    low = draw(st.integers(first, last))
    high = draw(st.integers(low, last))
    step = draw(st.integers(1, 9))
    items = ["*", f"*/{step}", f"{low}", f"{low}-{high}", f"{low}-{high}/{step}", f"{low}/{step}"]
    if name == "days":
        items += ["L", "LW", f"{draw(st.integers(1, 28))}W"]
    if name == "weekdays":
        items += [f"{low}#{draw(st.integers(1, 5))}", f"L{low}"]
    return ",".join(draw(st.lists(st.sampled_from(items), min_size=1, max_size=3)))


def selects(item: str, name: str, day: date) -> bool:
    """Whether one item of a field holds on a date, by definition."""
    first, last = VALUES[name]
    length = monthrange(day.year, day.month)[1]
    weekday = day.isoweekday() % 7
    if item == "L":
        return day.day == length
    if item.endswith("W"):
        wanted = length if item == "LW" else int(item[:-1])
        workdays = [n for n in range(1, length + 1) if day.replace(day=n).weekday() < 5]
        # Never a tie: the free days beside a workday are on its other side.
        return day.day == min(workdays, key=lambda workday: abs(workday - wanted))
    if "#" in item:
        of, nth = item.split("#")
        return weekday == int(of) % 7 and (day.day - 1) // 7 + 1 == int(nth)
    if item.startswith("L"):
        return weekday == int(item[1:]) % 7 and day.day + 7 > length
    span, slash, step = item.partition("/")
    low, dash, high = span.partition("-")
    start = first if span == "*" else int(low)
    stop = int(high) if dash else last if slash or span == "*" else start
    shown = {"days": {day.day}, "months": {day.month}, "weekdays": {weekday, weekday or 7}}[name]
    return not shown.isdisjoint(range(start, stop + 1, int(step or 1)))


def matches(day: date, days: str, months: str, weekdays: str) -> bool:
    by_day = any(selects(item, "days", day) for item in days.split(","))
    by_weekday = any(selects(item, "weekdays", day) for item in weekdays.split(","))
    both = days.startswith("*") or weekdays.startswith("*")
    in_month = any(selects(item, "months", day) for item in months.split(","))
    return in_month and ((by_day and by_weekday) if both else (by_day or by_weekday))


@settings(deadline=None, max_examples=200)
@given(
    field("days"), field("months"), field("weekdays"), st.dates(date(1990, 1, 1), date(2090, 1, 1))
)
def test_the_dates_are_those_that_a_look_at_every_date_finds(days, months, weekdays, start):
    window = [start + n * ONE_DAY for n in range(1, 500)]
    expected = [f"{day}" for day in window if matches(day, days, months, weekdays)]
    after = datetime(start.year, start.month, start.day, tzinfo=UTC)
    try:
        found = dates(days, months, weekdays, count=len(expected) + 1, after=after)
    except ConfigError:
        found = []
    assert [day for day in found if day <= f"{window[-1]}"] == expected

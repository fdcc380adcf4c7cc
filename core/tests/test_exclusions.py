"""Days on which an event does not run."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api import ConfigError
from alicia_scheduler.kernel.exclusions import Excluding, Exclusions
from alicia_scheduler.testing.kernel import At, Every

BERLIN = ZoneInfo("Europe/Berlin")
HOURLY = Every(datetime(2026, 1, 1, tzinfo=UTC), 3600)
HOLIDAYS = {"holidays": frozenset({date(2026, 1, 6), date(2026, 12, 25)})}


def runs_on(items, zone=BERLIN, *, start=date(2026, 1, 1), days=14, schedule=HOURLY):
    """The local days on which an hourly event runs."""
    excluding = Excluding(schedule, Exclusions(items, HOLIDAYS, zone))
    instant = datetime(start.year, start.month, start.day, tzinfo=zone).astimezone(UTC)
    end = instant + timedelta(days=days)
    found = {}
    while (slot := excluding.next_after(instant)) is not None and slot <= end:
        day = slot.astimezone(zone).date()
        found[day] = found.get(day, 0) + 1
        instant = slot
    return found


@pytest.mark.parametrize(
    ("item", "gone"),
    [
        ("2026-01-03", [3]),
        ("2026-01-03/2026-01-05", [3, 4, 5]),
        ("sun", [4, 11]),
        ("SAT", [3, 10]),
        ("holidays", [6]),
    ],
)
def test_each_form_takes_whole_local_days_out(item, gone):
    days = {day.day for day in runs_on([item])}
    assert not days & set(gone)
    assert days >= set(range(2, 14)) - set(gone)


def test_a_day_is_that_of_the_events_zone():
    tokyo = ZoneInfo("Asia/Tokyo")
    excluding = Excluding(HOURLY, Exclusions(["2026-01-03"], {}, tokyo))
    after = datetime(2026, 1, 2, 14, 30, tzinfo=UTC)  # half an hour before the day there
    assert excluding.next_after(after) == datetime(2026, 1, 3, 15, tzinfo=UTC)


def test_a_day_of_23_or_25_hours_is_taken_out_whole():
    for day in (date(2026, 3, 29), date(2026, 10, 25)):
        around = runs_on([day.isoformat()], start=day - timedelta(days=1), days=3)
        assert day not in around
        assert around[day + timedelta(days=1)] == 24


def test_a_schedule_whose_every_day_is_excluded_has_no_slot():
    every_day = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    excluding = Excluding(HOURLY, Exclusions(every_day, {}, BERLIN))
    assert excluding.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None


class Asked:
    """A schedule that counts how often it is asked."""

    def __init__(self, schedule):
        self.schedule = schedule
        self.count = 0

    def next_after(self, instant):
        self.count += 1
        return self.schedule.next_after(instant)

    def describe(self):
        return self.schedule.describe()


@pytest.mark.parametrize(
    ("items", "seconds", "most"),
    [
        (["mon", "tue", "wed", "thu", "fri", "sat", "sun"], 86_400, 1),
        (["2026-01-01/9999-12-31"], 86_400, 1),
        (["2026-01-01/2027-12-31"], 86_400, 2),
        (["thu"], 7 * 86_400, 4_001),
    ],
)
def test_a_row_of_excluded_days_costs_the_schedule_few_questions(items, seconds, most):
    schedule = Asked(Every(datetime(2026, 1, 1, tzinfo=UTC), seconds))
    Excluding(schedule, Exclusions(items, {}, BERLIN)).next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert schedule.count <= most


def test_a_schedule_that_ends_ends():
    excluding = Excluding(At(()), Exclusions(["sat"], {}, BERLIN))
    assert excluding.next_after(datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ("2026-02-30", "not a date of the calendar"),
        ("2026-01-05/2026-01-03", "ends before it begins"),
        ("saturday", "neither a date"),
        ("hollidays", "calendars: holidays"),
        ("", "neither a date"),
        ("2026-01-05/", "not a date of the calendar"),
    ],
)
def test_an_item_that_means_nothing_is_refused_with_its_place(item, complaint):
    with pytest.raises(ConfigError, match=complaint) as caught:
        Exclusions(["sat", item], HOLIDAYS, BERLIN)
    assert caught.value.path == (1,)


@given(
    st.lists(st.dates(date(2026, 1, 1), date(2026, 12, 31)), max_size=5),
    st.sets(st.sampled_from(["mon", "wed", "sun"])),
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
)
def test_the_next_slot_is_the_first_that_a_full_walk_lets_through(days, weekdays, start):
    exclusions = Exclusions([*map(str, days), *weekdays], {}, BERLIN)
    start = start.replace(tzinfo=UTC)
    walked = HOURLY.next_after(start)
    while exclusions.reason(walked.astimezone(BERLIN).date()):
        walked = HOURLY.next_after(walked)
    assert Excluding(HOURLY, exclusions).next_after(start) == walked

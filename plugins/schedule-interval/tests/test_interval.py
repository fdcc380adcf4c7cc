"""The schedule type ``interval``: a fixed grid of elapsed time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_schedule_interval import alicia_schedule_types
from alicia_schedule_interval.config import IntervalConfig
from alicia_schedule_interval.schedule import IntervalSchedule
from alicia_scheduler.api import ConfigError, ScheduleContext

ANCHOR = datetime(2024, 3, 30, 9, 15, 27, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def build(raw, anchor=ANCHOR, zone="Europe/Berlin"):
    context = ScheduleContext(timezone=ZoneInfo(zone), anchor=anchor)
    return IntervalSchedule.build(msgspec.convert(raw, IntervalConfig), context)


def test_the_plugin_offers_the_type_interval():
    (offer,) = alicia_schedule_types()
    context = ScheduleContext(timezone=None, anchor=ANCHOR)
    schedule = offer.build(IntervalConfig(interval=60), context)
    assert (offer.name, offer.config) == ("interval", IntervalConfig)
    assert schedule.next_after(ANCHOR) == ANCHOR + timedelta(minutes=1)


@pytest.mark.parametrize(
    ("raw", "period"),
    [
        ({"type": "seconds", "value": 45}, timedelta(seconds=45)),
        ({"type": "minutes", "value": 5}, timedelta(minutes=5)),
        ({"type": "hours", "value": 1.25}, timedelta(minutes=75)),
        ({"type": "days", "value": 30}, timedelta(days=30)),
        ({"type": "seconds", "value": 0.1}, timedelta(milliseconds=100)),
        ({"interval": 3600}, timedelta(hours=1)),
        ({"interval": 0.001}, timedelta(milliseconds=1)),
    ],
)
def test_both_spellings_give_a_period(raw, period):
    assert build(raw).next_after(ANCHOR) == ANCHOR + period


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"type": "minutes"},
        {"value": 5},
        {"interval": 60, "value": 1},
        {"interval": 60, "type": "seconds"},
        {"interval": 60, "type": "seconds", "value": 60},
        {"type": "weeks", "value": 1},
        {"type": "minute", "value": 1},
        {"type": None, "value": 1},
        {"type": "minutes", "value": None},
        {"type": "minutes", "value": "5"},
        {"type": "minutes", "value": True},
        {"type": "minutes", "value": [5]},
        {"interval": False},
        {"interval": 60, "every": 1},
        None,
        60,
    ],
)
def test_a_configuration_of_another_shape_is_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        build(raw)


@pytest.mark.parametrize(
    "value", [0, -5, 0.0, -0.5, 0.0001, float("nan"), float("inf"), float("-inf"), 1e300, 10**30]
)
def test_a_period_that_is_none_is_refused_at_its_key(value):
    with pytest.raises(ConfigError) as refusal:
        build({"type": "days", "value": value} if value > 1 else {"interval": value})
    assert refusal.value.path in (("value",), ("interval",))


def test_a_period_whose_first_run_lies_beyond_the_calendar_is_refused():
    with pytest.raises(ConfigError, match="beyond the year 9999"):
        build({"type": "days", "value": 3_000_000})


def test_the_grid_ends_with_the_calendar():
    schedule = build({"type": "days", "value": 1_000_000})
    assert schedule.next_after(datetime(9000, 1, 1, tzinfo=UTC)) is None


def test_the_anchor_is_no_run():
    schedule = build({"interval": 60})
    assert schedule.next_after(ANCHOR - MICROSECOND) == ANCHOR + timedelta(seconds=60)


def test_asked_long_before_the_anchor_the_first_run_is_one_period_after_it():
    schedule = build({"interval": 60})
    assert schedule.next_after(ANCHOR - timedelta(days=400)) == ANCHOR + timedelta(seconds=60)


def test_a_late_question_does_not_move_the_grid():
    late = ANCHOR + timedelta(seconds=120, milliseconds=250)
    assert build({"interval": 60}).next_after(late) == ANCHOR + timedelta(seconds=180)


def test_ten_years_of_missed_seconds_cost_nothing():
    late = ANCHOR + timedelta(days=3653, microseconds=1)
    assert build({"interval": 1}).next_after(late) == ANCHOR + timedelta(days=3653, seconds=1)


def test_a_day_has_24_hours_whatever_the_clocks_do():
    # The clocks of Berlin go forward in the night after the anchor.
    day = timedelta(days=1)
    assert build({"type": "days", "value": 1}).next_after(ANCHOR) == ANCHOR + day


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"type": "minutes", "value": 5}, "every 5 minutes"),
        ({"type": "hours", "value": 1}, "every hour"),
        ({"type": "hours", "value": 1.5}, "every 1.5 hours"),
        ({"interval": 90}, "every 90 seconds"),
    ],
)
def test_it_describes_itself(raw, words):
    assert build(raw).describe() == words


instants = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(
    lambda moment: moment.replace(tzinfo=UTC)
)
periods = st.one_of(st.integers(1, 10**8), st.floats(0.001, 1e8))


@settings(deadline=None)
@given(periods, instants, instants)
def test_the_answer_is_the_first_point_of_the_grid_after_the_question(period, anchor, instant):
    schedule = build({"interval": period}, anchor)
    answer = schedule.next_after(instant)
    exact = timedelta(seconds=period)
    assert answer > instant
    assert (answer - anchor) % exact == timedelta(0)
    assert answer - exact <= max(instant, anchor)
    assert schedule.next_after(answer) == answer + exact
    assert schedule.next_after(answer - MICROSECOND) == answer

"""The schedule type ``rrule``: the rule, its exceptions, its end, its cost and its errors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule as dateutil

from alicia_schedule_rrule import periods
from alicia_schedule_rrule.config import RRuleConfig
from alicia_schedule_rrule.schedule import RRuleSchedule
from alicia_scheduler.api import ConfigError, DstGap, DstOverlap, ScheduleContext


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def rrule(rule, dtstart="2024-01-01T09:00:00", zone="UTC", *, gap=None, overlap=None, **dates):
    context = ScheduleContext(
        timezone=ZoneInfo(zone), anchor=utc("2024-01-01"), dst_gap=gap, dst_overlap=overlap
    )
    return RRuleSchedule.build(RRuleConfig(rrule=rule, dtstart=dtstart, **dates), context)


def runs(schedule, after, count=10):
    found, at = [], utc(after)
    while len(found) < count and (at := schedule.next_after(at)) is not None:
        found.append(at)
    return found


def texts(schedule, after="2024-01-01", count=10):
    return [f"{run:%Y-%m-%dT%H:%M}" for run in runs(schedule, after, count)]


def test_dtstart_may_be_a_local_date_time_of_toml():
    schedule = rrule("FREQ=DAILY;COUNT=1", datetime(2024, 1, 1, 9))
    assert texts(schedule) == ["2024-01-01T09:00"]


def test_case_means_nothing():
    assert texts(rrule("freq=daily;count=1")) == ["2024-01-01T09:00"]


def test_dtstart_is_no_run_when_the_rule_does_not_match_it():
    assert texts(rrule("FREQ=WEEKLY;BYDAY=TU"), count=1) == ["2024-01-02T09:00"]


def test_a_date_of_exdate_is_left_out_but_counted():
    schedule = rrule("FREQ=DAILY;COUNT=3", exdate=["2024-01-02T09:00:00"])
    assert texts(schedule) == ["2024-01-01T09:00", "2024-01-03T09:00"]


def test_a_date_of_rdate_is_added_in_its_place():
    schedule = rrule("FREQ=DAILY;COUNT=2", rdate=["2024-01-01T21:00", "2025-01-01T00:00"])
    assert texts(schedule) == [
        "2024-01-01T09:00",
        "2024-01-01T21:00",
        "2024-01-02T09:00",
        "2025-01-01T00:00",
    ]


def test_a_date_that_the_rule_has_already_is_one_run():
    schedule = rrule("FREQ=DAILY;COUNT=2", rdate=["2024-01-02T09:00"])
    assert len(texts(schedule)) == 2


def test_exdate_leaves_out_what_rdate_adds():
    dates = ["2024-06-01T00:00"]
    assert len(texts(rrule("FREQ=DAILY;COUNT=2", rdate=dates, exdate=dates))) == 2


def test_a_week_number_alone_means_the_weekday_of_dtstart():
    assert texts(rrule("FREQ=YEARLY;BYWEEKNO=20"), count=2) == [
        "2024-05-13T09:00",
        "2025-05-12T09:00",
    ]


def test_plain_and_numbered_days_may_stand_side_by_side():
    schedule = rrule("FREQ=MONTHLY;BYDAY=FR,-1SA")
    assert texts(schedule, count=5) == [
        "2024-01-05T09:00",
        "2024-01-12T09:00",
        "2024-01-19T09:00",
        "2024-01-26T09:00",
        "2024-01-27T09:00",
    ]


def test_a_position_in_the_set_of_an_hour():
    schedule = rrule("FREQ=HOURLY;INTERVAL=6;BYMINUTE=0,20,40;BYSETPOS=-1")
    assert texts(schedule, count=2) == ["2024-01-01T09:40", "2024-01-01T15:40"]


def test_a_computed_reading_in_a_gap_is_left_out_and_an_added_one_moved():
    berlin = "Europe/Berlin"
    ruled = rrule("FREQ=DAILY;COUNT=2", "2024-03-30T02:30:00", berlin)
    assert texts(ruled) == ["2024-03-30T01:30", "2024-04-01T00:30"]
    added = rrule("FREQ=DAILY;COUNT=1", "2024-03-30T02:30", berlin, rdate=["2024-03-31T02:30"])
    assert texts(added) == ["2024-03-30T01:30", "2024-03-31T01:00"]


def test_a_reading_that_is_moved_is_counted():
    schedule = rrule("FREQ=DAILY;COUNT=2", "2024-03-30T02:30", "Europe/Berlin", gap=DstGap.AFTER)
    assert texts(schedule) == ["2024-03-30T01:30", "2024-03-31T01:00"]


def test_a_reading_in_both_passes_is_counted_once():
    schedule = rrule(
        "FREQ=DAILY;COUNT=2", "2024-10-26T02:30", "Europe/Berlin", overlap=DstOverlap.BOTH
    )
    assert texts(schedule) == ["2024-10-26T00:30", "2024-10-27T00:30", "2024-10-27T01:30"]


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MINUTELY",
        "FREQ=SECONDLY;INTERVAL=7",
        "FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=29;BYHOUR=3",
        "FREQ=HOURLY;INTERVAL=25;BYDAY=FR;BYMONTHDAY=13",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    ],
)
def test_a_start_long_ago_costs_no_walk_from_there(rule, monkeypatch):
    """dateutil never iterates more than the periods near the answer."""
    produced = Counting()
    monkeypatch.setattr(periods.dateutil, "rrule", produced.wrap(dateutil.rrule))
    schedule = rrule(rule, "1804-01-01T00:00:00")
    produced.count = 0
    assert schedule.next_after(utc("2024-06-01")) is not None
    assert produced.count < 500


class Counting:
    """Counts the occurrences that dateutil brings forth."""

    def __init__(self):
        self.count = 0

    def wrap(self, engine):
        def walk(*args, **kwargs):
            for occurrence in engine(*args, **kwargs):
                self.count += 1
                yield occurrence

        return walk


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=HOURLY;INTERVAL=2;BYHOUR=8",
        "FREQ=MINUTELY;INTERVAL=10080;BYDAY=TU",
        "FREQ=DAILY;INTERVAL=1000000000;BYMONTHDAY=2",
        "FREQ=DAILY;UNTIL=20231231T000000Z",
        "FREQ=MONTHLY;BYMONTHDAY=1;BYSETPOS=2",
    ],
)
def test_a_rule_by_which_nothing_ever_occurs_is_refused(rule):
    with pytest.raises(ConfigError, match="nothing ever occurs"):
        rrule(rule)


def test_a_count_that_outlasts_the_calendar_of_a_scheduler_is_refused():
    with pytest.raises(ConfigError, match="400 years"):
        rrule("FREQ=YEARLY;COUNT=10000")


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ("RRULE:FREQ=DAILY", "RRULE"),
        ("FREQ=DAILY;", "no part"),
        ("FREQ=DAILY;INTERVAL=+1", "INTERVAL"),
        ("FREQ=DAILY;COUNT=10001", "COUNT"),
        ("FREQ=DAILY;UNTIL=20251231", "UNTIL"),
        ("FREQ=DAILY;BYHOUR=-1", "BYHOUR"),
        ("FREQ=DAILY;BYHOUR=\u0661", "BYHOUR"),
        ("FREQ=DAILY;BYHOUR=9,", "BYHOUR"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY"),
        ("FREQ=MONTHLY;BYWEEKNO=1", "BYWEEKNO"),
        ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=1MO", "BYDAY"),
        ("FREQ=YEARLY;BYDAY=0MO", "BYDAY"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS"),
        ("FREQ=DAILY;WKST=XX", "WKST"),
        ("FREQ=DAILY;BYMONTH=" + "1," * 2000 + "1", "2000"),
    ],
)
def test_what_the_rfc_does_not_have_is_refused_in_the_rule(rule, says):
    with pytest.raises(ConfigError, match=says) as caught:
        rrule(rule)
    assert tuple(caught.value.path) == ("rrule",)


@pytest.mark.parametrize(
    "dtstart",
    ["2024-01-01", "2024-01-01T09:00:00Z", "2024-02-30T09:00", 1_700_000_000, utc("2024-01-01")],
)
def test_a_start_that_is_no_local_reading_is_refused(dtstart):
    with pytest.raises(ConfigError) as caught:
        rrule("FREQ=DAILY", dtstart)
    assert tuple(caught.value.path) == ("dtstart",)


def test_a_wrong_date_is_named_by_its_place():
    with pytest.raises(ConfigError) as caught:
        rrule("FREQ=DAILY", exdate=["2024-01-01T09:00", "tomorrow"])
    assert tuple(caught.value.path) == ("exdate", 1)


def test_a_zone_is_needed():
    context = ScheduleContext(timezone=None, anchor=utc("2024-01-01"))
    with pytest.raises(ConfigError, match="time zone"):
        RRuleSchedule.build(RRuleConfig(rrule="FREQ=DAILY", dtstart="2024-01-01T09:00"), context)


def test_there_is_no_run_after_the_last_instant():
    end = datetime.max.replace(tzinfo=UTC)
    for frequency in ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY", "SECONDLY"):
        schedule = rrule(f"FREQ={frequency}")
        assert schedule.next_after(end) is None
        assert schedule.next_after(end - timedelta(days=800)) is not None

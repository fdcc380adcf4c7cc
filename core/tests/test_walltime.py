"""Local time: clock changes, readings and instants, and the walk from one to the other.

The walk is compared with a scan: minute by minute through real time, asking the zone data only
what its clock shows. The scan knows no stretches, folds or bisections.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_scheduler.api import (
    ClockChange,
    ClockPolicy,
    OnGap,
    OnRepeat,
    clock_changes,
    first_instant,
    instants_of,
    next_instant,
    reading_at,
    walltime,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def only_change(zone: str, since: str, until: str) -> ClockChange:
    (change,) = clock_changes(utc(since), utc(until), ZoneInfo(zone))
    return change


CHANGES = [
    ("Europe/Berlin", "2024-03-01", "2024-04-30", "2024-03-31T01:00", 60),
    ("Europe/Berlin", "2024-10-01", "2024-11-30", "2024-10-27T01:00", -60),
    ("America/New_York", "2024-03-01", "2024-04-30", "2024-03-10T07:00", 60),
    ("Australia/Lord_Howe", "2023-09-01", "2023-10-30", "2023-09-30T15:30", 30),
    ("Australia/Lord_Howe", "2023-03-01", "2023-04-30", "2023-04-01T15:00", -30),
    ("Pacific/Chatham", "2025-03-01", "2025-04-30", "2025-04-05T14:00", -60),
    ("Antarctica/Troll", "2025-03-01", "2025-04-30", "2025-03-30T01:00", 120),
    ("America/St_Johns", "2010-03-01", "2010-04-30", "2010-03-14T03:31", 60),
    ("America/Sao_Paulo", "2018-10-15", "2018-12-30", "2018-11-04T03:00", 60),
    ("Europe/Dublin", "2024-10-01", "2024-11-30", "2024-10-27T01:00", -60),
    ("Pacific/Apia", "2011-12-01", "2012-01-30", "2011-12-30T10:00", 24 * 60),
    ("Pacific/Kwajalein", "1969-09-01", "1969-10-30", "1969-09-30T13:00", -23 * 60),
]


@pytest.mark.parametrize(("zone", "since", "until", "at", "minutes"), CHANGES)
def test_a_change_is_found_to_the_second_whatever_its_size(zone, since, until, at, minutes):
    change = only_change(zone, since, until)
    assert change.at == utc(at)
    assert change.size == minutes * MINUTE


def test_a_change_knows_what_the_clocks_show_on_either_side():
    change = only_change("Pacific/Chatham", "2025-09-01", "2025-10-30")
    assert change.reading_before == datetime(2025, 9, 28, 2, 45)
    assert change.reading_after == datetime(2025, 9, 28, 3, 45)


def test_a_zone_without_changes_has_none():
    assert list(clock_changes(utc("1900-01-01"), utc("2100-01-01"), ZoneInfo("UTC"))) == []


@pytest.mark.parametrize("year", [2500, 9998])
def test_the_changes_of_a_far_year_are_those_that_the_zone_data_give(year):
    for name in sorted(available_timezones()):
        zone, begin = ZoneInfo(name), datetime(year, 1, 1, tzinfo=UTC)
        changes = list(clock_changes(begin, begin + timedelta(days=360), zone))
        offset = begin.astimezone(zone).utcoffset()
        for day in range(0, 360, 3):
            at = begin + timedelta(days=day)
            while changes and changes[0].at <= at:
                assert changes[0].offset_before == offset, name
                offset = changes.pop(0).offset_after
            assert at.astimezone(zone).utcoffset() == offset, name


def test_the_bounds_of_a_search_for_changes_are_open_below_and_closed_above():
    berlin, at = ZoneInfo("Europe/Berlin"), utc("2024-03-31T01:00")
    assert list(clock_changes(at, at + HOUR, berlin)) == []
    assert [change.at for change in clock_changes(at - HOUR, at, berlin)] == [at]


def test_two_changes_a_week_apart_that_cancel_each_other_are_both_found():
    noronha = ZoneInfo("America/Noronha")
    changes = clock_changes(utc("2000-09-30"), utc("2000-10-30"), noronha)
    assert [change.size for change in changes] == [HOUR, -HOUR]


def test_a_reading_in_a_gap_is_shown_at_no_instant():
    assert instants_of(datetime(2024, 3, 31, 2, 30), ZoneInfo("Europe/Berlin")) == ()


def test_a_repeated_reading_is_shown_at_two_instants():
    assert instants_of(datetime(2024, 10, 27, 2, 30), ZoneInfo("Europe/Berlin")) == (
        utc("2024-10-27T00:30"),
        utc("2024-10-27T01:30"),
    )


def test_an_ordinary_reading_is_shown_at_one_instant():
    noon = datetime(2024, 6, 1, 12)
    assert instants_of(noon, ZoneInfo("Asia/Kathmandu")) == (utc("2024-06-01T06:15"),)


def test_a_reading_in_a_gap_stands_for_the_first_instant_after_it():
    berlin = ZoneInfo("Europe/Berlin")
    for minute in (0, 1, 30, 59):
        assert first_instant(datetime(2024, 3, 31, 2, minute), berlin) == utc("2024-03-31T01:00")


def test_a_reading_on_a_lost_day_stands_for_the_begin_of_the_next():
    lost = datetime(2011, 12, 30, 9)
    assert first_instant(lost, ZoneInfo("Pacific/Apia")) == utc("2011-12-30T10:00")


def test_a_repeated_reading_stands_for_its_first_pass():
    dublin = ZoneInfo("Europe/Dublin")  # winter time is the exception there (negative DST)
    assert first_instant(datetime(2024, 10, 27, 1, 30), dublin) == utc("2024-10-27T00:30")


def test_fractions_of_a_second_survive_except_in_a_gap():
    berlin = ZoneInfo("Europe/Berlin")
    ordinary = datetime(2024, 3, 31, 1, 59, 59, 999_999)
    assert first_instant(ordinary, berlin) == utc("2024-03-31T00:59:59.999999")
    assert first_instant(datetime(2024, 3, 31, 2, 0, 0, 1), berlin) == utc("2024-03-31T01:00")


def test_an_instant_beyond_the_calendar_is_an_overflow():
    with pytest.raises(OverflowError):
        first_instant(datetime(9999, 12, 31, 20), ZoneInfo("America/New_York"))


def test_at_the_ends_of_the_calendar_the_reading_is_the_last_there_is():
    assert reading_at(datetime.max.replace(tzinfo=UTC), ZoneInfo("Asia/Tokyo")) == datetime.max
    assert reading_at(datetime.min.replace(tzinfo=UTC), ZoneInfo("Etc/GMT+5")) == datetime.min


# --- the walk ------------------------------------------------------------------------------------


@dataclass
class Listed:
    """Readings from an ascending list."""

    readings: list[datetime]

    def first_from(self, reading: datetime) -> datetime | None:
        index = bisect_left(self.readings, reading)
        return self.readings[index] if index < len(self.readings) else None


ONCE = ClockPolicy(OnGap.AFTER, OnRepeat.FIRST)
ONCE_IF_SMALL = ClockPolicy(OnGap.AFTER, OnRepeat.FIRST, below=3 * HOUR)
WITH_THE_CLOCK = ClockPolicy(OnGap.SKIP, OnRepeat.BOTH)
AS_RFC_5545 = ClockPolicy(OnGap.SKIP, OnRepeat.FIRST)
SECOND_PASS = ClockPolicy(OnGap.AFTER, OnRepeat.SECOND)
SECOND_PASS_IF_SMALL = ClockPolicy(OnGap.SKIP, OnRepeat.SECOND, below=3 * HOUR)
POLICIES = [ONCE, ONCE_IF_SMALL, WITH_THE_CLOCK, AS_RFC_5545, SECOND_PASS, SECOND_PASS_IF_SMALL]


def runs(readings, zone, policy, after):
    found = []
    while (after := next_instant(Listed(readings), after, ZoneInfo(zone), policy)) is not None:
        found.append(after)
    return found


GAP = [datetime(2024, 3, 31, 2, minute) for minute in (10, 20, 50)]
REPEATED = [datetime(2024, 10, 27, 2, minute) for minute in (10, 50)]


def test_readings_in_a_gap_run_once_together_after_it():
    assert runs(GAP, "Europe/Berlin", ONCE, utc("2024-03-30")) == [utc("2024-03-31T01:00")]


def test_a_reading_at_the_end_of_a_gap_and_those_in_it_are_one_run():
    readings = [*GAP, datetime(2024, 3, 31, 3)]
    assert runs(readings, "Europe/Berlin", ONCE, utc("2024-03-30")) == [utc("2024-03-31T01:00")]


def test_readings_in_a_gap_do_not_run_when_the_policy_skips_them():
    assert runs(GAP, "Europe/Berlin", WITH_THE_CLOCK, utc("2024-03-30")) == []


def test_repeated_readings_run_in_the_first_pass():
    assert runs(REPEATED, "Europe/Berlin", ONCE, utc("2024-10-26")) == [
        utc("2024-10-27T00:10"),
        utc("2024-10-27T00:50"),
    ]


def test_repeated_readings_run_in_each_pass_when_the_policy_says_both():
    assert runs(REPEATED, "Europe/Berlin", WITH_THE_CLOCK, utc("2024-10-26")) == [
        utc("2024-10-27T00:10"),
        utc("2024-10-27T00:50"),
        utc("2024-10-27T01:10"),
        utc("2024-10-27T01:50"),
    ]


def test_repeated_readings_run_in_the_second_pass_when_the_policy_says_so():
    readings = [datetime(2024, 10, 27, 1, 59), *REPEATED, datetime(2024, 10, 27, 3)]
    assert runs(readings, "Europe/Berlin", SECOND_PASS, utc("2024-10-26")) == [
        utc("2024-10-26T23:59"),
        utc("2024-10-27T01:10"),
        utc("2024-10-27T01:50"),
        utc("2024-10-27T02:00"),
    ]


def test_asked_within_a_dropped_first_pass_the_second_is_next():
    assert runs(REPEATED, "Europe/Berlin", SECOND_PASS, utc("2024-10-27T00:20")) == [
        utc("2024-10-27T01:10"),
        utc("2024-10-27T01:50"),
    ]


def test_without_rules_of_its_own_an_event_keeps_the_policy_of_the_type():
    assert ONCE_IF_SMALL.with_rules(None, None) is ONCE_IF_SMALL


def test_a_rule_of_an_event_holds_for_changes_of_every_size():
    assert ONCE_IF_SMALL.with_rules("skip", None) == ClockPolicy(OnGap.SKIP, OnRepeat.FIRST)
    assert ONCE_IF_SMALL.with_rules(None, "both") == ClockPolicy(OnGap.AFTER, OnRepeat.BOTH)


def test_asked_between_the_passes_a_dropped_second_pass_stays_dropped():
    readings = [*REPEATED, datetime(2024, 10, 27, 3, 5)]
    assert runs(readings, "Europe/Berlin", ONCE, utc("2024-10-27T01:05")) == [
        utc("2024-10-27T02:05")
    ]


def test_a_policy_for_small_changes_takes_a_lost_day_as_it_comes():
    lost = [datetime(2011, 12, 30, 12), datetime(2011, 12, 31, 12)]
    assert runs(lost, "Pacific/Apia", ONCE_IF_SMALL, utc("2011-12-29")) == [utc("2011-12-30T22:00")]


def test_a_policy_for_small_changes_takes_a_repeated_day_as_it_comes():
    twice = [datetime(1969, 9, 30, 12)]
    since = utc("1969-09-29T12:00")
    assert len(runs(twice, "Pacific/Kwajalein", ONCE_IF_SMALL, since)) == 2
    assert len(runs(twice, "Pacific/Kwajalein", ONCE, since)) == 1


def test_a_reading_whose_instant_lies_beyond_the_calendar_is_left_out():
    last = [datetime(9999, 12, 31, 20)]
    assert runs(last, "America/New_York", ONCE, utc("9999-12-31")) == []


@pytest.mark.parametrize("zone", ["Asia/Tokyo", "America/New_York"])
def test_there_is_no_run_after_the_last_instant(zone):
    end = datetime.max.replace(tzinfo=UTC)
    assert runs([datetime.max], zone, ONCE, end) == []


@pytest.mark.parametrize("policy", [ONCE, ClockPolicy(OnGap.SKIP, OnRepeat.BOTH)])
def test_a_reading_that_is_far_off_is_looked_for_once(policy):
    asked = []

    class FarOff:
        def first_from(self, reading):
            asked.append(reading)
            return datetime(9000, 6, 1, 12)

    found = next_instant(FarOff(), utc("2026-01-01"), ZoneInfo("Europe/Berlin"), policy)
    assert found == utc("9000-06-01T10:00")
    assert len(asked) == 1


ZONES = [*sorted({zone for zone, *_ in CHANGES}), "Africa/Cairo", "Africa/Casablanca", "UTC"]


@st.composite
def around_a_change(draw):
    """A zone, one of its changes (in UTC any instant), and an instant within 30 hours of it."""
    zone = draw(st.sampled_from(ZONES))
    since = draw(st.datetimes(datetime(1968, 1, 1), datetime(2025, 1, 1))).replace(tzinfo=UTC)
    change = next(clock_changes(since, since + timedelta(days=400), ZoneInfo(zone)), None)
    middle = change.at if change else since.replace(second=0, microsecond=0)
    reach = draw(st.sampled_from([90, 90, 1800]))
    return zone, middle, middle + draw(st.integers(-reach, reach)) * MINUTE


def scan(readings, zone, policy, after, end):
    """The runs by definition: the first pass, the later ones, and the end of each gap."""
    wanted, seen, found = set(readings), set(), {}
    at = after - 60 * HOUR
    previous = reading_at(at - MINUTE, ZoneInfo(zone))
    while at <= end + 26 * HOUR:  # as far as a first pass can be from its second
        reading = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        jump = reading - previous - MINUTE
        small = policy.below is None or abs(jump) < policy.below
        if jump < timedelta(0) and not small:
            seen.clear()  # this change is taken as it comes: its second pass is new
        if jump < timedelta(0) and small and policy.repeat is OnRepeat.SECOND:
            found = {run: shown for run, shown in found.items() if shown < reading}
        skipped = {previous + n * MINUTE for n in range(1, jump // MINUTE + 1)}
        catches_up = policy.gap is OnGap.AFTER and small and skipped & wanted
        repeats = policy.repeat is OnRepeat.FIRST and reading in seen
        if catches_up or (reading in wanted and not repeats):
            found[at] = reading
        seen.add(reading)
        previous = reading
        at += MINUTE
    return sorted(at for at in found if after < at <= end)


@settings(max_examples=150, deadline=None)
@given(around_a_change(), st.sampled_from(POLICIES), st.data())
def test_the_walk_finds_what_a_scan_through_every_minute_finds(place, policy, data):
    zone, middle, after = place
    reach = data.draw(st.sampled_from([90, 90, 2000]))
    minutes = data.draw(st.sets(st.integers(-reach, reach), min_size=1, max_size=30))
    shown = reading_at(middle, ZoneInfo(zone))
    readings = sorted(shown + minute * MINUTE for minute in minutes)
    end = after + 60 * HOUR
    found = [run for run in runs(readings, zone, policy, after) if run <= end]
    assert found == scan(readings, zone, policy, after, end)


@settings(deadline=None)
@given(around_a_change())
def test_a_reading_that_a_clock_shows_leads_back_to_its_instant(place):
    zone, _, instant = place
    shown_at = instants_of(reading_at(instant, ZoneInfo(zone)), ZoneInfo(zone))
    assert instant in shown_at
    assert first_instant(reading_at(instant, ZoneInfo(zone)), ZoneInfo(zone)) == shown_at[0]


@settings(deadline=None)
@given(around_a_change(), st.sampled_from(POLICIES), st.data())
def test_the_short_way_leads_to_the_same_instant(place, policy, data):
    zone, middle, after = place
    minutes = data.draw(st.sets(st.integers(-5000, 5000), min_size=1, max_size=30))
    shown = reading_at(middle, ZoneInfo(zone))
    readings = Listed(sorted(shown + minute * MINUTE for minute in minutes))
    instant, zone = after, ZoneInfo(zone)
    short = next_instant(readings, instant, zone, policy)
    offset = walltime._offset_at(instant, zone)
    start = walltime._start(instant, offset, zone, policy)
    search = walltime._Search(instant, offset, start, readings.first_from(start))
    assert walltime._by_stretches(readings, search, zone, policy) == short


def test_most_questions_take_the_short_way(monkeypatch):
    asked = []
    walk = walltime._by_stretches
    monkeypatch.setattr(walltime, "_by_stretches", lambda *args: asked.append(1) or walk(*args))
    zone, policy = ZoneInfo("Europe/Berlin"), POLICIES[0]
    every_hour = Listed([datetime(2026, 1, 1) + n * HOUR for n in range(24 * 365)])
    at, answers = utc("2025-12-31 23:00"), 0
    while (at := next_instant(every_hour, at, zone, policy)) is not None:
        answers += 1
    assert answers > 8700
    assert len(asked) < 10

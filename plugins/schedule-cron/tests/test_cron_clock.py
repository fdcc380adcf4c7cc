"""Cron and the clock: strictly later, once per reading, and clock changes of every size.

The reference is a scan through every minute of real time, by the rules of Debian's cron(8).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_schedule_cron.config import CronConfig
from alicia_schedule_cron.schedule import CronSchedule
from alicia_scheduler.api import ScheduleContext, clock_changes

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def cron(expression: str, zone: str = "UTC") -> CronSchedule:
    context = ScheduleContext(timezone=ZoneInfo(zone), anchor=utc("2024-01-01"))
    return CronSchedule.build(CronConfig(expression=expression), context)


def runs(expression: str, zone: str, after: str, until: str) -> list[datetime]:
    found, schedule, at = [], cron(expression, zone), utc(after)
    while (at := schedule.next_after(at)) is not None and at <= utc(until):
        found.append(at)
    return found


def test_a_run_is_later_than_the_question_to_the_microsecond():
    schedule = cron("0 10 * * *")
    assert schedule.next_after(utc("2024-05-01T09:59:59.999999")) == utc("2024-05-01T10:00")
    assert schedule.next_after(utc("2024-05-01T10:00")) == utc("2024-05-02T10:00")


def test_a_fixed_time_in_a_gap_runs_when_the_gap_ends():
    assert runs("30 2 * * *", "Europe/Berlin", "2024-03-30T12:00", "2024-03-31T12:00") == [
        utc("2024-03-31T01:00")
    ]


def test_a_fixed_time_in_a_gap_with_seconds_runs_at_the_first_second_after_it():
    assert runs("15 30 2 * * *", "Europe/Berlin", "2024-03-30T12:00", "2024-03-31T12:00") == [
        utc("2024-03-31T01:00")
    ]


def test_the_date_of_a_fixed_time_in_a_gap_is_the_one_that_was_skipped():
    # Sao Paulo went from Saturday 23:59 to Sunday 01:00.
    assert runs("30 0 * * sun", "America/Sao_Paulo", "2018-11-03T12:00", "2018-11-04T12:00") == [
        utc("2018-11-04T03:00")
    ]


def test_a_fixed_time_that_comes_twice_runs_in_the_first_pass():
    assert runs("30 2 * * *", "Europe/Berlin", "2024-10-26T12:00", "2024-10-27T12:00") == [
        utc("2024-10-27T00:30")
    ]
    assert runs("30 2 * * *", "Europe/Berlin", "2024-10-27T01:05", "2024-10-27T12:00") == []


def test_a_wildcard_follows_the_clock_through_both_passes():
    assert runs("*/30 2 * * *", "Europe/Berlin", "2024-10-26T12:00", "2024-10-27T12:00") == [
        utc("2024-10-27T00:00"),
        utc("2024-10-27T00:30"),
        utc("2024-10-27T01:00"),
        utc("2024-10-27T01:30"),
    ]


def test_a_wildcard_does_not_run_in_a_gap():
    assert runs("*/15 2 * * *", "Europe/Berlin", "2024-03-30T12:00", "2024-03-31T12:00") == []


def test_chatham_does_not_turn_in_circles():
    # cronsim 2.8 never answers this one: 03:45 goes back to 02:45.
    assert runs("59 */3 * * *", "Pacific/Chatham", "2025-04-05T12:46", "2025-04-05T20:00") == [
        utc("2025-04-05T15:14"),
        utc("2025-04-05T18:14"),
    ]


def test_half_an_hour_on_lord_howe_is_repeated_in_full():
    assert runs("*/20 1 * * *", "Australia/Lord_Howe", "2025-04-05T14:00", "2025-04-05T16:00") == [
        utc("2025-04-05T14:00") + n * MINUTE for n in (20, 40, 70)
    ]


def test_a_lost_day_is_not_caught_up():
    assert runs("30 12 * * *", "Pacific/Apia", "2011-12-29T00:00", "2011-12-31T12:00") == [
        utc("2011-12-29T22:30"),
        utc("2011-12-30T22:30"),
    ]


ZONES = [
    "Africa/Cairo",
    "America/Sao_Paulo",
    "America/St_Johns",
    "Antarctica/Troll",
    "Australia/Lord_Howe",
    "Europe/Berlin",
    "Europe/Dublin",
    "Pacific/Apia",
    "Pacific/Chatham",
    "UTC",
]


@st.composite
def questions(draw):
    """A zone, and an instant near one of its changes (in UTC anywhere)."""
    zone = draw(st.sampled_from(ZONES))
    since = draw(st.datetimes(datetime(1990, 1, 1), datetime(2025, 1, 1))).replace(tzinfo=UTC)
    change = next(clock_changes(since, since + timedelta(days=3000), ZoneInfo(zone)), None)
    middle = change.at if change else since.replace(microsecond=0)
    return zone, middle + draw(st.integers(-40_000, 40_000)) * timedelta(seconds=3)


@st.composite
def time_field(draw, last):
    low = draw(st.integers(0, last))
    high = draw(st.integers(low, last))
    step = draw(st.integers(1, last))
    forms = [("*", 0, last, 1), (f"*/{step}", 0, last, step), (f"{low}", low, low, 1)]
    forms += [(f"{low}-{high}", low, high, 1), (f"{low}-{high}/{step}", low, high, step)]
    chosen = draw(st.lists(st.sampled_from(forms), min_size=1, max_size=2))
    values = {n for _, start, stop, by in chosen for n in range(start, stop + 1, by)}
    return ",".join(text for text, *_ in chosen), values


def scan(minutes, hours, follows_clock, zone, after, until):
    """The runs of ``minutes hours * * *`` by definition."""
    at = after.replace(second=0, microsecond=0) - 30 * HOUR
    seen, found = set(), []
    previous = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    while at <= until:
        at += MINUTE
        reading = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        jump = reading - previous - MINUTE
        fixed = not follows_clock and abs(jump) < 3 * HOUR
        skipped = (previous + n * MINUTE for n in range(1, jump // MINUTE + 1))
        due = reading.minute in minutes and reading.hour in hours
        if not follows_clock and reading in seen:
            due = False
        if fixed and any(gap.minute in minutes and gap.hour in hours for gap in skipped):
            due = True
        if due and after < at <= until:
            found.append(at)
        seen.add(reading)
        previous = reading
    return found


@settings(deadline=None, max_examples=150)
@given(questions(), time_field(59), time_field(23))
def test_the_runs_are_those_that_a_scan_through_every_minute_finds(question, minute, hour):
    zone, after = question
    (minute_text, minutes), (hour_text, hours) = minute, hour
    schedule = cron(f"{minute_text} {hour_text} * * *", zone)
    until, found, at = after + 30 * HOUR, [], after
    while (at := schedule.next_after(at)) is not None and at <= until:
        found.append(at)
    follows_clock = minute_text.startswith("*") or hour_text.startswith("*")
    assert found == scan(minutes, hours, follows_clock, zone, after, until)


@settings(deadline=None)
@given(questions(), time_field(59), time_field(59), time_field(23))
def test_the_answer_does_not_depend_on_what_was_asked_before(question, second, minute, hour):
    zone, after = question
    expression = f"{second[0]} {minute[0]} {hour[0]} * * *"
    worn = cron(expression, zone)
    answers = [after]
    for _ in range(4):
        answers.append(worn.next_after(answers[-1]))
    assert answers == sorted(set(answers))
    for earlier, later in zip(reversed(answers[:-1]), reversed(answers[1:]), strict=True):
        assert worn.next_after(earlier) == later
        assert cron(expression, zone).next_after(earlier) == later
        assert worn.next_after(later - timedelta(microseconds=1)) == later


@pytest.mark.parametrize("expression", ["0 0 29 2 */7", "0 0 * 2 5#5", "* * * * * *", "@yearly"])
def test_an_answer_near_the_end_of_the_calendar_is_an_instant_or_none(expression):
    end = utc("9999-12-31T23:59:59")
    for zone in ("Asia/Tokyo", "America/New_York", "UTC"):
        assert cron(expression, zone).next_after(end) is None

"""``dst_gap`` and ``dst_overlap`` of an event, through every schedule type that reads a clock.

Berlin changes by an hour, Lord Howe by half of one, and Chatham in the middle of an hour.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from click.testing import CliRunner

from alicia_schedule_cron import config as cron
from alicia_schedule_cron.schedule import CronSchedule
from alicia_schedule_once import config as once
from alicia_schedule_once.schedule import OnceSchedule
from alicia_schedule_recurring import config as recurring
from alicia_schedule_recurring.schedule import RecurringSchedule
from alicia_schedule_rrule import config as rrule
from alicia_schedule_rrule.schedule import RRuleSchedule
from alicia_scheduler.api import ConfigError, DstGap, DstOverlap, ScheduleContext, instants_of
from alicia_scheduler.cli.main import main

TYPES = {
    "once": (once.OnceConfig, OnceSchedule.build),
    "recurring": (recurring.RecurringConfig, RecurringSchedule.build),
    "cron": (cron.CronConfig, CronSchedule.build),
    "rrule": (rrule.RRuleConfig, RRuleSchedule.build),
}

GAPS = {
    "Europe/Berlin": (datetime(2024, 3, 31, 2, 30), "2024-03-31T01:00"),
    "Australia/Lord_Howe": (datetime(2024, 10, 6, 2, 15), "2024-10-05T15:30"),
    "Pacific/Chatham": (datetime(2024, 9, 29, 3, 15), "2024-09-28T14:00"),
}
"""A reading in the gap of each zone, and the first instant after the gap."""

REPEATED = {
    "Europe/Berlin": datetime(2024, 10, 27, 2, 30),
    "Australia/Lord_Howe": datetime(2024, 4, 7, 1, 45),
    "Pacific/Chatham": datetime(2024, 4, 7, 3, 15),
}
"""A reading that each zone shows twice."""

REPEATING = ["recurring", "cron", "cron wildcard", "rrule"]


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def spec_of(kind, reading):
    """The reading, as a schedule of the type; the repeating ones have it every day."""
    match kind:
        case "once":
            return {"run_at": reading.isoformat()}
        case "recurring":
            return {"frequency": "daily", "time_of_day": f"{reading:%H:%M}"}
        case "cron":
            return {"expression": f"{reading.minute} {reading.hour} * * *"}
        case "cron wildcard":
            return {"expression": f"{reading.minute} */23,{reading.hour} * * *"}
        case "rrule":
            start = reading - timedelta(days=3)
            return {"rrule": "FREQ=DAILY", "dtstart": start.isoformat()}


def runs_around(kind, zone, reading, *, gap=None, overlap=None):
    """The runs within the hour or so around the reading."""
    config, build = TYPES[kind.split()[0]]
    context = ScheduleContext(
        timezone=ZoneInfo(zone), anchor=utc("2024-01-01"), dst_gap=gap, dst_overlap=overlap
    )
    schedule = build(msgspec.convert(spec_of(kind, reading), config), context)
    around = reading.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    found, at = [], around - timedelta(minutes=50)
    while (at := schedule.next_after(at)) is not None and at < around + timedelta(minutes=70):
        found.append(at)
    return found


@pytest.mark.parametrize("zone", GAPS)
@pytest.mark.parametrize("kind", ["once", *REPEATING])
def test_after_runs_a_skipped_reading_when_the_gap_ends(kind, zone):
    reading, end = GAPS[zone]
    assert runs_around(kind, zone, reading, gap=DstGap.AFTER) == [utc(end)]


@pytest.mark.parametrize("zone", GAPS)
@pytest.mark.parametrize("kind", REPEATING)
def test_skip_leaves_a_skipped_reading_out(kind, zone):
    assert runs_around(kind, zone, GAPS[zone][0], gap=DstGap.SKIP) == []


@pytest.mark.parametrize("zone", GAPS)
def test_a_single_run_that_would_be_skipped_is_refused(zone):
    with pytest.raises(ConfigError, match="no clock shows"):
        runs_around("once", zone, GAPS[zone][0], gap=DstGap.SKIP)


@pytest.mark.parametrize("zone", REPEATED)
@pytest.mark.parametrize("kind", ["once", *REPEATING])
@pytest.mark.parametrize(
    ("overlap", "passes"),
    [
        (DstOverlap.FIRST, slice(0, 1)),
        (DstOverlap.SECOND, slice(1, 2)),
        (DstOverlap.BOTH, slice(0, 2)),
    ],
)
def test_a_repeated_reading_runs_in_the_passes_that_the_event_names(kind, zone, overlap, passes):
    reading = REPEATED[zone]
    both = instants_of(reading, ZoneInfo(zone))
    assert len(both) == 2
    assert runs_around(kind, zone, reading, overlap=overlap) == list(both[passes])


def test_an_hourly_schedule_can_be_kept_to_the_first_pass():
    config = recurring.RecurringConfig(frequency="hourly")
    context = ScheduleContext(
        timezone=ZoneInfo("Europe/Berlin"),
        anchor=utc("2024-01-01"),
        dst_overlap=DstOverlap.FIRST,
    )
    schedule = RecurringSchedule.build(config, context)
    assert schedule.next_after(utc("2024-10-27T00:00")) == utc("2024-10-27T02:00")


def test_an_instant_with_an_offset_has_no_passes():
    context = ScheduleContext(
        timezone=ZoneInfo("Europe/Berlin"),
        anchor=utc("2024-01-01"),
        dst_gap=DstGap.SKIP,
        dst_overlap=DstOverlap.BOTH,
    )
    schedule = OnceSchedule.build(once.OnceConfig(run_at="2024-10-27T02:30:00+02:00"), context)
    assert schedule.instants == (utc("2024-10-27T00:30"),)


def test_check_refuses_a_single_run_that_the_events_own_rule_leaves_out(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(
        '[scheduler]\ntimezone = "Europe/Berlin"\n[events.lamp]\nschedule_type = "once"\n'
        "schedule_config = { run_at = 2026-03-29T02:30:00 }\n"
        'action = { type = "mqtt_publish", topic = "a" }\ndst_gap = "skip"\n'
    )
    result = CliRunner().invoke(main, ["check", str(file)])
    assert result.exit_code == 1
    assert f"{file}:5: events.lamp.schedule_config.run_at: no clock shows" in result.stderr

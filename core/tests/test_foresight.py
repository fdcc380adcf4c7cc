"""Seeing the future: preview, lint and explanation, on a schedule type of the test's own."""

from dataclasses import dataclass
from dataclasses import replace as with_fields
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import msgspec
import pytest
from msgspec.structs import replace

from alicia_scheduler.api import (
    ClockPolicy,
    ConfigError,
    EventExecution,
    EventState,
    OnGap,
    OnRepeat,
    ScheduleType,
    Status,
    next_instant,
)
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.foresight.explanation import explain, slot_near
from alicia_scheduler.foresight.lint import lint
from alicia_scheduler.foresight.preview import preview_rows
from alicia_scheduler.foresight.subject import subject_of
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.kernel.ledger import closed
from alicia_scheduler.kernel.slots import due_at
from alicia_scheduler.kernel.steering import FOR_EVER
from alicia_scheduler.testing.kernel import Every, make_event

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 3, 26, 12, tzinfo=UTC)  # a Thursday; clocks go forward on Sunday


class Daily(msgspec.Struct, forbid_unknown_fields=True):
    """Readings ``HH:MM`` of every day; ``gap`` and ``repeat`` say how it meets clock changes."""

    times: list[str]
    gap: OnGap = OnGap.AFTER
    repeat: OnRepeat = OnRepeat.FIRST


class Grid(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class Universal(msgspec.Struct, forbid_unknown_fields=True):
    """``HH:MM`` of UTC, whatever the zone, as the sun has it."""

    at: str


@dataclass
class DailyReadings:
    times: list[time]

    def first_from(self, reading):
        days = (reading.date(), reading.date() + timedelta(days=1))
        named = (datetime.combine(day, at) for day in days for at in self.times)
        return min(found for found in named if found >= reading)


@dataclass
class DailySchedule:
    readings: DailyReadings
    zone: ZoneInfo
    policy: ClockPolicy

    def next_after(self, instant):
        return next_instant(self.readings, instant, self.zone, self.policy)

    def describe(self):
        return "daily"


def build_daily(config, context):
    readings = DailyReadings([time.fromisoformat(text) for text in config.times])
    policy = ClockPolicy(config.gap, config.repeat)
    return DailySchedule(readings, context.require_timezone(), policy)


def build_universal(config, _context):
    readings = DailyReadings([time.fromisoformat(config.at)])
    return DailySchedule(readings, ZoneInfo("UTC"), ClockPolicy())


@pytest.fixture
def registry():
    types = [
        ScheduleType(name="daily", config=Daily, build=build_daily),
        ScheduleType(name="universal", config=Universal, build=build_universal),
        ScheduleType(
            name="grid",
            config=Grid,
            build=lambda config, context: Every(context.anchor, config.seconds),
            elapsed=True,
        ),
    ]
    registry = Registry([])
    registry.schedule_types.add(PluginRecord("test", "test", "0"), types)
    return registry


@pytest.fixture
def asked(registry):
    """The subject of a daily event in Berlin, as the keywords say."""

    def build(*times, state=None, calendars=None, gap="after", repeat="first", **fields):
        config = {"times": list(times), "gap": gap, "repeat": repeat}
        fields = {"schedule_type": "daily", "schedule_config": config} | fields
        event = make_event("lamp", **({"timezone": "Europe/Berlin"} | fields))
        return subject_of(event, registry, Settings(), calendars or {}, now=NOW, state=state)

    return build


def rows(subject, count, after=NOW, **options):
    return list(islice(preview_rows(subject, after, **options), count))


def local(row):
    return f"{row.local:%d %H:%M %z}"


def verdicts(answer):
    return {item.filter: item.passed for item in answer.verdicts}


def berlin(*fields, fold=0):
    return datetime(*fields, tzinfo=BERLIN, fold=fold).astimezone(UTC)


# -- preview ---------------------------------------------------------------------------------


def test_a_preview_shows_slots_in_the_zone_of_the_event(asked):
    found = rows(asked("07:30"), 2)
    assert [local(row) for row in found] == ["27 07:30 +0100", "28 07:30 +0100"]
    assert found[0].slot == datetime(2026, 3, 27, 6, 30, tzinfo=UTC)


def test_a_slot_that_stands_for_a_reading_in_a_gap_is_marked(asked):
    moved = rows(asked("02:30"), 3)[2]
    assert local(moved) == "29 03:00 +0200"
    assert moved.marks == ("moved out of a gap", "offset changed")


def test_a_slot_at_the_end_of_a_gap_that_is_its_own_reading_is_not_marked_as_moved(asked):
    assert rows(asked("03:00"), 3)[2].marks == ("offset changed",)


def test_both_passes_of_a_repeated_reading_are_told_apart(asked):
    after = berlin(2026, 10, 25, 1)
    found = rows(asked("02:30", repeat="both"), 2, after)
    assert [row.marks for row in found] == [("first pass",), ("second pass", "offset changed")]


def test_excluded_days_are_left_out(asked):
    found = rows(asked("07:30", exclude=("sat",)), 2)
    assert [local(row) for row in found] == ["27 07:30 +0100", "29 07:30 +0200"]


def test_excluded_days_are_shown_with_the_item_that_excludes_them_when_asked_for(asked):
    subject = asked("07:30", exclude=("feast",), calendars={"feast": {date(2026, 3, 28)}})
    found = rows(subject, 3, with_excluded=True)
    assert [row.excluded for row in found] == [None, "calendar feast", None]


def test_the_jitter_band_ends_at_the_next_slot_and_holds_the_draw(asked):
    subject = asked("07:00", "07:10", jitter=3600.0)
    first, second = rows(subject, 2)
    assert first.latest - first.slot == timedelta(minutes=10)
    assert second.latest - second.slot == timedelta(hours=1)
    assert first.due == due_at(subject.schedule, subject.event, first.slot)
    assert first.slot <= first.due < first.latest


def test_a_preview_stays_within_the_bounds_of_the_event(asked):
    subject = asked("07:30", starts_at=berlin(2026, 4, 1), ends_at=berlin(2026, 4, 2, 7, 30))
    assert [row.local.day for row in rows(subject, 10)] == [1, 2]


def test_a_preview_ends_when_the_runs_are_used_up(asked):
    subject = asked("07:30", max_runs=5, state=EventState(slot_count=3))
    assert len(rows(subject, 10)) == 2


def test_skipped_slots_are_marked_and_use_up_no_run(asked):
    skipped = berlin(2026, 3, 27, 7, 30)
    subject = asked("07:30", max_runs=1, state=EventState(skip_slots=(skipped,)))
    assert [row.marks for row in rows(subject, 5)] == [("skipped by hand",), ()]


def test_slots_of_a_paused_event_are_marked_until_the_pause_ends(asked):
    subject = asked("07:30", state=EventState(paused_until=berlin(2026, 3, 27, 12)))
    assert [row.marks for row in rows(subject, 2)] == [("paused",), ()]


def test_a_range_includes_its_end(asked):
    found = rows(asked("07:30"), 10, until=berlin(2026, 3, 28, 7, 30))
    assert len(found) == 2


def test_a_mistake_in_a_specification_names_its_place(asked):
    with pytest.raises(ConfigError, match=r"schedule_config\.gap"):
        asked("07:30", gap="afterwards")


# -- lint ------------------------------------------------------------------------------------


def findings(registry, subject, now=NOW):
    return [
        (finding.kind, finding.message.partition(": ")[2])
        for finding in lint([subject.event], registry, Settings(), {}, now=now)
    ]


def test_every_clock_change_of_24_months_that_matters_is_named(registry, asked):
    assert findings(registry, asked("02:30")) == [
        ("clock_change", "2026-03-29 02:30 does not exist: runs at 03:00"),
        ("clock_change", "2026-10-25 02:30 comes twice: runs in the first pass only"),
        ("clock_change", "2027-03-28 02:30 does not exist: runs at 03:00"),
        ("clock_change", "2027-10-31 02:30 comes twice: runs in the first pass only"),
        ("clock_change", "2028-03-26 02:30 does not exist: runs at 03:00"),
    ]


def test_what_the_schedule_does_at_a_change_is_what_is_told(registry, asked):
    said = findings(registry, asked("02:30", gap="skip", repeat="both"))
    assert said[0][1] == "2026-03-29 02:30 does not exist: does not run"
    assert said[1][1] == "2026-10-25 02:30 comes twice: runs in both passes"


@pytest.mark.parametrize("reading", ["01:59", "03:00", "12:00"])
def test_a_reading_that_no_change_touches_is_not_mentioned(registry, asked, reading):
    assert findings(registry, asked(reading)) == []


def test_a_change_on_an_excluded_day_does_not_matter(registry, asked):
    assert findings(registry, asked("02:30", exclude=("sun",))) == []


def test_a_change_outside_the_bounds_does_not_matter(registry, asked):
    subject = asked("02:30", ends_at=berlin(2026, 10, 1))
    assert len(findings(registry, subject)) == 1


def test_an_event_that_runs_every_hour_is_not_warned_about(registry, asked):
    every_hour = [f"{hour:02}:05" for hour in range(24)]
    assert findings(registry, asked(*every_hour, gap="skip", repeat="both")) == []


def test_a_schedule_that_does_not_read_the_clock_is_not_warned_about(registry, asked):
    subject = asked(schedule_type="universal", schedule_config={"at": "02:30"})
    assert findings(registry, subject) == []


def test_elapsed_time_knows_no_clock_changes(registry, asked):
    subject = asked(schedule_type="grid", schedule_config={"seconds": 86400.0})
    assert findings(registry, subject) == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"ends_at": NOW - timedelta(days=1)}, "no slot lies between"),
        ({"exclude": ("mon", "tue", "wed", "thu", "fri", "sat", "sun")}, "every slot falls on"),
    ],
)
def test_an_event_that_never_runs_is_told_with_the_reason(registry, asked, fields, why):
    ((kind, message),) = findings(registry, asked("07:30", **fields))
    assert kind == "never_fires"
    assert message.startswith(why)


def test_a_disabled_event_is_not_warned_about(registry, asked):
    assert findings(registry, asked("02:30", enabled=False)) == []


# -- explanation -----------------------------------------------------------------------------

SLOT = berlin(2026, 3, 27, 7, 30)


def test_a_slot_to_come_that_passes_every_filter_will_run(asked):
    answer = explain(asked("07:30"), SLOT, NOW)
    assert answer.outcome == "will run, due 2026-03-27 07:30:00+01:00"
    assert list(verdicts(answer)) == [
        "schedule",
        "bounds",
        "exclude",
        "enabled",
        "min_interval",
        "skip",
        "pause",
        "max_runs",
        "jitter",
        "misfire",
        "overlap",
    ]
    assert all(verdicts(answer).values())


@pytest.mark.parametrize(
    ("stops", "fields", "state"),
    [
        ("bounds", {"starts_at": SLOT + timedelta(seconds=1)}, {}),
        ("bounds", {"ends_at": SLOT - timedelta(seconds=1)}, {}),
        ("exclude", {"exclude": ("fri",)}, {}),
        ("enabled", {"enabled": False}, {}),
        ("skip", {}, {"skip_slots": (SLOT,)}),
        ("pause", {}, {"paused_until": FOR_EVER}),
        ("max_runs", {"max_runs": 2}, {"slot_count": 2}),
    ],
)
def test_the_filter_that_stops_a_slot_is_named(asked, stops, fields, state):
    answer = explain(asked("07:30", state=EventState(**state), **fields), SLOT, NOW)
    assert answer.outcome.startswith(f"does not run: {stops}: ")
    assert [name for name, passed in verdicts(answer).items() if not passed] == [stops]


def test_earlier_slots_count_against_max_runs(asked):
    subject = asked("07:30", max_runs=2)
    second, third = SLOT + timedelta(days=1), berlin(2026, 3, 29, 7, 30)
    assert verdicts(explain(subject, second, NOW))["max_runs"]
    assert not verdicts(explain(subject, third, NOW))["max_runs"]


def test_a_time_that_is_no_slot_is_answered_with_the_next_slot(asked):
    answer = explain(asked("07:30"), SLOT + timedelta(minutes=1), NOW)
    assert answer.outcome.endswith("the next is 2026-03-28 07:30:00+01:00")
    assert list(verdicts(answer)) == ["schedule"]


def test_a_slot_within_the_second_that_was_typed_is_found(asked):
    anchor = NOW + timedelta(microseconds=250)
    subject = asked(
        schedule_type="grid", schedule_config={"seconds": 60.0}, state=EventState(anchor=anchor)
    )
    minute = timedelta(minutes=1)
    assert slot_near(subject, NOW + minute) == anchor + minute
    assert slot_near(subject, NOW + minute / 2) == NOW + minute / 2


def test_a_past_slot_is_answered_from_the_history(asked):
    subject = asked("07:30")
    started = SLOT + timedelta(seconds=0.25)
    execution = EventExecution(
        execution_id="one",
        event_id="lamp",
        revision=1,
        scheduled_time=SLOT,
        start_time=started,
        end_time=started + timedelta(seconds=2),
        status=Status.COMPLETED,
    )
    answer = explain(subject, SLOT, SLOT + timedelta(days=1), [execution])
    assert answer.outcome == "completed, started 0.250 s after its slot, took 2.000 s"
    assert answer.executions == (execution,)


def test_a_skipped_slot_is_told_with_what_stood_in_its_way(asked):
    subject = asked("07:30")
    message = "execution two is still under way after 9.0 s"
    record = closed(subject.event, SLOT, Status.SKIPPED, "overlap", SLOT, message=message)
    answer = explain(subject, SLOT, SLOT + timedelta(days=1), [record])
    assert answer.outcome == f"skipped (overlap), {message}"


def test_a_slot_in_a_range_that_shares_one_record_is_found_there(asked):
    subject = asked("07:30")
    before = SLOT + timedelta(days=5)
    record = closed(
        subject.event,
        SLOT - timedelta(days=5),
        Status.MISSED,
        "coalesced",
        before,
        result={"count": 10, "before": before.timestamp()},
    )
    answer = explain(subject, SLOT, before, [record])
    assert answer.outcome == "missed (coalesced)"
    assert explain(subject, before, before, [record]).executions == ()


def test_a_past_slot_without_a_record_is_not_invented(asked):
    subject = asked("07:30")
    answer = explain(subject, SLOT, SLOT + timedelta(days=1))
    assert answer.outcome.startswith("nothing is known")
    unborn = with_fields(subject, event=replace(subject.event, created_at=NOW + timedelta(days=9)))
    assert explain(unborn, SLOT, SLOT).outcome == "the event did not exist yet"


def test_a_slot_that_is_due_and_not_decided_is_told_as_such(asked):
    subject = asked("07:30", state=EventState(next_run=SLOT))
    answer = explain(subject, SLOT, SLOT + timedelta(minutes=1))
    assert answer.outcome.startswith("is due and not decided yet")


# -- the pace of the host --------------------------------------------------------------------


@pytest.fixture
def every_ten_minutes(registry):
    """The subject of a grid of ten minutes on a host with a ``min_interval`` of 25 minutes."""

    def build(state=None, **fields):
        config = {"seconds": 600}
        event = make_event("lamp", schedule_type="grid", schedule_config=config, **fields)
        settings = Settings(min_interval=1500.0)
        return subject_of(event, registry, settings, {}, now=NOW, state=state)

    return build


def minutes(number):
    return NOW + timedelta(minutes=number)


def test_a_preview_marks_slots_that_follow_each_other_too_fast(every_ten_minutes):
    marks = [bool(row.marks) for row in rows(every_ten_minutes(), 7)]
    assert marks == [False, True, True, False, True, True, False]


def test_slots_that_are_too_fast_do_not_use_up_max_runs_in_a_preview(every_ten_minutes):
    found = rows(every_ten_minutes(max_runs=2), 100)
    assert [row.slot for row in found if not row.marks] == [minutes(10), minutes(40)]


@pytest.mark.parametrize(("at", "runs"), [(10, True), (20, False), (30, False), (40, True)])
def test_a_slot_that_follows_too_fast_is_explained_by_min_interval(every_ten_minutes, at, runs):
    answer = explain(every_ten_minutes(), minutes(at), NOW)
    assert verdicts(answer)["min_interval"] is runs
    assert answer.outcome.startswith("will run" if runs else "does not run: min_interval")


def test_the_pace_goes_by_the_next_slot_that_is_planned(every_ten_minutes):
    subject = every_ten_minutes(state=EventState(anchor=NOW, next_run=minutes(20)))
    assert verdicts(explain(subject, minutes(50), NOW))["min_interval"]
    assert not verdicts(explain(subject, minutes(40), NOW))["min_interval"]


def test_a_slot_too_far_ahead_to_be_counted_out_is_not_judged(every_ten_minutes):
    answer = explain(every_ten_minutes(max_runs=10**9), minutes(10**7), NOW)
    assert {item.why.split(" to tell")[0] for item in answer.verdicts} >= {"too far ahead"}


def test_slots_that_a_person_has_halted_use_up_no_run_of_max_runs(asked):
    halted = EventState(paused_until=berlin(2026, 3, 28, 12))
    subject = asked("07:30", max_runs=2, state=halted)
    days = (27, 28, 29, 30, 31)
    answers = [verdicts(explain(subject, berlin(2026, 3, day, 7, 30), NOW)) for day in days]
    assert [answer["max_runs"] for answer in answers] == [True, True, True, True, False]


def test_the_limit_that_an_event_shares_is_named(asked):
    answer = explain(asked("07:30", limit="radio"), berlin(2026, 3, 27, 7, 30), NOW)
    assert "the limit 'radio'" in answer.verdicts[-1].why

"""A rehearsal runs the real kernel in virtual time."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from alicia_scheduler.api import ActionType, ScheduleType
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.foresight.simulation import rehearse
from alicia_scheduler.host.loader import PluginRecord
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.testing.kernel import Every, make_event

BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
DAY = timedelta(days=1)


class Grid(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float


class Nothing(msgspec.Struct, forbid_unknown_fields=True):
    pass


def refuse_to_open(_context):
    raise AssertionError("a rehearsal opened a real action")


def build(config, context):
    if config.seconds < 0:
        raise ZeroDivisionError("negative")
    return Every(context.anchor, config.seconds)


@pytest.fixture
def registry():
    registry = Registry([])
    plugin = PluginRecord("test", "test", "0")
    registry.schedule_types.add(
        plugin, [ScheduleType(name="grid", config=Grid, build=build, elapsed=True)]
    )
    registry.action_types.add(
        plugin, [ActionType(name="note", config=Nothing, open=refuse_to_open)]
    )
    return registry


@pytest.fixture
def rehearsed(registry):
    def run(*events, days=1, **options):
        end = BEGIN + days * DAY
        return rehearse(events, registry, Settings(), {}, begin=BEGIN, end=end, **options)

    return run


def every(seconds, event_id="event", **fields):
    return make_event(
        event_id, schedule_type="grid", schedule_config={"seconds": seconds}, **fields
    )


def test_a_month_of_thousands_of_executions_is_counted_exactly(rehearsed):
    seen = rehearsed(every(900, "quarter"), every(3600, "hour"), every(86_400, "day"), days=30)
    assert seen.summary() == {
        "quarter": {"completed": 30 * 96},
        "hour": {"completed": 30 * 24},
        "day": {"completed": 30},
    }
    assert all(item.lateness == 0 for item in seen.happenings)


def test_every_slot_after_the_start_up_to_the_very_end_comes_up(rehearsed):
    slots = [item.slot for item in rehearsed(every(21_600)).happenings]
    assert slots == [BEGIN + hours * timedelta(hours=6) for hours in (1, 2, 3, 4)]


def test_happenings_are_in_order_of_slots(rehearsed):
    seen = rehearsed(every(7_000, "one"), every(5_000, "two"), duration=10_000, days=1)
    assert seen.happenings == sorted(seen.happenings)


def test_actions_that_take_longer_than_the_period_overlap(rehearsed):
    seen = rehearsed(every(60, timeout=300), duration=90)
    # Every second slot finds the one before still running; the last but one runs on at the end.
    assert seen.summary() == {"event": {"completed": 719, "running": 1, "skipped": 720}}
    assert {item.reason for item in seen.happenings if item.disposition == "skipped"} == {"overlap"}


def test_an_execution_that_outlasts_the_end_is_shown_as_running(rehearsed):
    seen = rehearsed(every(86_400), duration=60)
    assert [item.disposition for item in seen.happenings] == ["running"]


def test_an_action_that_takes_longer_than_its_timeout_fails(rehearsed):
    seen = rehearsed(every(43_200, timeout=10, max_retries=2, retry_delay=1), duration=60)
    first = seen.happenings[0]
    assert (first.disposition, first.reason, first.retries) == ("failed", "timeout", 2)


def test_a_rehearsal_ends_early_at_its_limit(rehearsed):
    seen = rehearsed(every(60), limit=100)
    assert seen.cut
    assert len(seen.happenings) == 100
    assert seen.end == BEGIN + timedelta(minutes=100)


def test_an_event_that_cannot_run_is_told_and_the_others_go_on(rehearsed):
    seen = rehearsed(every(-1, "broken"), every(43_200, "good"))
    assert seen.summary() == {"good": {"completed": 2}}
    assert any("broken" in problem for problem in seen.problems)

"""The Python function ``preview``."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from alicia_scheduler import ConfigError, preview

AFTER = datetime(2026, 1, 1, tzinfo=UTC)
DAILY = {"expression": "30 2 * * *"}


def test_it_gives_the_next_slots_as_utc():
    slots = preview("cron", DAILY, timezone="Europe/Berlin", after=AFTER, count=2)
    assert slots == [datetime(2026, 1, day, 1, 30, tzinfo=UTC) for day in (1, 2)]
    assert all(slot.tzinfo is UTC for slot in slots)


def test_an_instant_may_come_in_any_zone():
    tokyo = timezone(timedelta(hours=9))
    assert preview("cron", DAILY, after=AFTER.astimezone(tokyo)) == preview(
        "cron", DAILY, after=AFTER
    )


def test_a_grid_counts_from_the_anchor_and_else_from_after():
    config = {"type": "hours", "value": 1}
    anchor = AFTER + timedelta(minutes=10)
    assert preview("interval", config, after=AFTER, count=1) == [AFTER + timedelta(hours=1)]
    assert preview("interval", config, after=anchor, anchor=AFTER, count=1) == [
        AFTER + timedelta(hours=1)
    ]


def test_a_schedule_that_ends_gives_fewer():
    config = {"run_at": "2026-06-01T12:00:00Z"}
    assert len(preview("once", config, after=AFTER)) == 1


def test_zero_slots_are_none():
    assert preview("cron", DAILY, after=AFTER, count=0) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"after": "2026-01-01"}, "after must be an aware datetime, not str"),
        ({"after": None}, "after must be an aware datetime"),
        ({"after": date(2026, 1, 1)}, "after must be an aware datetime"),
        ({"after": datetime(2026, 1, 1)}, "after has no time zone"),
        ({"anchor": "x"}, "anchor must be an aware datetime"),
        ({"count": "5"}, "count is how many"),
        ({"count": 2.5}, "count is how many"),
        ({"count": True}, "count is how many"),
        ({"count": -1}, "count is how many"),
        ({"timezone": "Europe/Berln"}, "Europe/Berlin"),
        ({"timezone": 5}, "time zone"),
        ({"schedule_type": "crn"}, "did you mean 'cron'"),
        ({"schedule_type": 5}, "a schedule type is a name"),
        ({"schedule_config": None}, "table"),
        ({"schedule_config": {"expresion": "x"}}, "'expression'"),
    ],
)
def test_an_argument_that_is_wrong_is_refused_with_what_is_wrong(arguments, complaint):
    good = {"schedule_type": "cron", "schedule_config": DAILY, "after": AFTER}
    with pytest.raises(ConfigError, match=complaint) as caught:
        preview(**(good | arguments))
    assert isinstance(caught.value, ValueError)


def test_without_a_zone_a_local_reading_is_refused_and_an_instant_is_not():
    with pytest.raises(ConfigError, match="time zone"):
        preview("once", {"run_at": "2026-06-01T12:00:00"}, timezone=None, after=AFTER)
    assert preview("once", {"run_at": "2026-06-01T12:00:00Z"}, timezone=None, after=AFTER)

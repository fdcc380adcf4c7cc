"""The configuration of ``recurring``: its keys, its refusals, and what people read."""

from __future__ import annotations

from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import msgspec
import pytest

from alicia_schedule_recurring import alicia_schedule_types
from alicia_schedule_recurring.config import RecurringConfig
from alicia_schedule_recurring.schedule import RecurringSchedule
from alicia_scheduler.api import ConfigError, ScheduleContext

ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)
BERLIN = ScheduleContext(timezone=ZoneInfo("Europe/Berlin"), anchor=ANCHOR)


def build(raw, context=BERLIN):
    return RecurringSchedule.build(msgspec.convert(raw, RecurringConfig), context)


def test_the_plugin_offers_the_type_recurring():
    (offer,) = alicia_schedule_types()
    schedule = offer.build(RecurringConfig(frequency="daily"), BERLIN)
    assert (offer.name, offer.config) == ("recurring", RecurringConfig)
    assert schedule.next_after(ANCHOR) == datetime(2024, 1, 1, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"frequency": "hourly"}, "every hour (Europe/Berlin)"),
        ({"frequency": "daily"}, "every day at 00:00 (Europe/Berlin)"),
        (
            {"frequency": "daily", "time_of_day": ["19:00", "07:30:15", "19:00"]},
            "every day at 07:30:15, 19:00 (Europe/Berlin)",
        ),
        (
            {"frequency": "weekly", "time_of_day": "07:30", "days_of_week": ["FRI", 0]},
            "every Monday, Friday at 07:30 (Europe/Berlin)",
        ),
        (
            {"frequency": "monthly", "time_of_day": time(6), "days_of_month": [-1, 15, 1]},
            "every month on day 1, day 15, the last day at 06:00 (Europe/Berlin)",
        ),
        (
            {"frequency": "monthly", "days_of_month": [31], "short_month": "clamp"},
            "every month on day 31 (or the month's last) at 00:00 (Europe/Berlin)",
        ),
    ],
)
def test_it_describes_itself(raw, words):
    assert build(raw).describe() == words


def test_empty_lists_of_clients_that_always_send_them_are_no_hindrance():
    raw = {"frequency": "daily", "days_of_week": [], "days_of_month": []}
    assert build(raw).describe() == "every day at 00:00 (Europe/Berlin)"


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"time_of_day": "06:00"},
        {"frequency": "yearly"},
        {"frequency": None},
        {"frequency": "Daily"},
        {"frequency": "weekly"},
        {"frequency": "weekly", "days_of_week": []},
        {"frequency": "weekly", "days_of_week": None},
        {"frequency": "weekly", "days_of_week": "mon"},
        {"frequency": "weekly", "days_of_week": [True]},
        {"frequency": "weekly", "days_of_week": [1.0]},
        {"frequency": "monthly"},
        {"frequency": "monthly", "days_of_month": []},
        {"frequency": "monthly", "days_of_month": ["1"]},
        {"frequency": "monthly", "days_of_month": [True]},
        {"frequency": "monthly", "days_of_month": [1], "short_month": "round"},
        {"frequency": "daily", "days_of_week": ["mon"]},
        {"frequency": "daily", "days_of_month": [1]},
        {"frequency": "weekly", "days_of_week": ["mon"], "short_month": "skip"},
        {"frequency": "hourly", "time_of_day": "00:30"},
        {"frequency": "daily", "at": "06:00"},
        None,
        "daily",
    ],
)
def test_a_configuration_of_another_shape_is_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        build(raw)


@pytest.mark.parametrize(
    "value",
    [
        "", "noon", "7:30", "07:3", "24:00", "12:60", "12:30:60", "12:30:00:00", " 06:00", "06:00 ",
        "06:00\n", "06:00Z", "06.00", "0600", "-1:30", "０６:００", "1e:00", None, 600, 6.5, True,
        {"at": "06:00"}, [], ["06:00", "25:00"], [["06:00"]], ["06:00"] * 1441,
        time(6, 0, 0, 5), time(6, tzinfo=UTC),
    ],
)  # fmt: skip
def test_what_is_no_time_of_day_is_refused_at_its_key(value):
    with pytest.raises(ConfigError) as refusal:
        build({"frequency": "daily", "time_of_day": value})
    assert refusal.value.path[0] == "time_of_day"


def test_a_wrong_item_of_a_list_is_named_by_its_place():
    with pytest.raises(ConfigError) as refusal:
        build({"frequency": "daily", "time_of_day": ["06:00", "25:00"]})
    assert refusal.value.path == ("time_of_day", 1)


@pytest.mark.parametrize("value", [7, -1, 100, "mond", "monday", "xyz", "0", ""])
def test_what_is_no_day_of_the_week_is_refused_by_its_place(value):
    with pytest.raises(ConfigError) as refusal:
        build({"frequency": "weekly", "days_of_week": ["mon", value]})
    assert refusal.value.path == ("days_of_week", 1)


@pytest.mark.parametrize("value", [0, 32, -2, -32, 1000])
def test_what_is_no_day_of_the_month_is_refused_by_its_place(value):
    with pytest.raises(ConfigError) as refusal:
        build({"frequency": "monthly", "days_of_month": [1, value]})
    assert refusal.value.path == ("days_of_month", 1)


def test_cron_numbering_of_sunday_is_answered_with_ours():
    with pytest.raises(ConfigError) as refusal:
        build({"frequency": "weekly", "days_of_week": [7]})
    assert "Sunday is 6 here" in refusal.value.hint


@pytest.mark.parametrize("frequency", ["hourly", "daily"])
def test_without_a_zone_it_is_refused(frequency):
    with pytest.raises(ConfigError, match="needs a time zone"):
        build({"frequency": frequency}, ScheduleContext(timezone=None, anchor=ANCHOR))

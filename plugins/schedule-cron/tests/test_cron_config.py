"""The configuration of ``cron``: its keys, its refusals, and what people read."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec
import pytest

from alicia_schedule_cron import alicia_schedule_types
from alicia_schedule_cron.config import CronConfig
from alicia_schedule_cron.schedule import CronSchedule
from alicia_scheduler.api import ConfigError, ScheduleContext

ANCHOR = datetime(2024, 1, 1, tzinfo=UTC)
BERLIN = ScheduleContext(timezone=ZoneInfo("Europe/Berlin"), anchor=ANCHOR)
NOWHERE = ScheduleContext(timezone=None, anchor=ANCHOR)


def build(raw, context=BERLIN):
    return CronSchedule.build(msgspec.convert(raw, CronConfig), context)


def test_the_plugin_offers_the_type_cron():
    (offer,) = alicia_schedule_types()
    assert (offer.name, offer.config) == ("cron", CronConfig)
    assert offer.build(CronConfig(expression="0 0 * * *"), BERLIN).next_after(ANCHOR)


def test_both_keys_mean_the_same():
    assert build({"expression": "30 6 * * *"}).next_after(ANCHOR) == build(
        {"cron": "30 6 * * *"}
    ).next_after(ANCHOR)


@pytest.mark.parametrize(
    "raw",
    [
        {},
        {"seconds": "first"},
        {"expression": "0 0 * * *", "cron": "0 0 * * *"},
        {"expression": None},
        {"expression": 5},
        {"expression": True},
        {"expression": ["0 0 * * *"]},
        {"expression": "0 0 * * *", "seconds": "middle"},
        {"expression": "0 0 * * *", "day_or": False},
        None,
        [],
        "0 0 * * *",
    ],
)
def test_a_configuration_of_another_shape_is_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        build(raw)


def test_a_wrong_expression_is_blamed_on_the_key_that_holds_it():
    with pytest.raises(ConfigError) as refusal:
        build({"cron": "60 * * * *"})
    assert refusal.value.path == ("cron",)


def test_without_a_zone_it_is_refused():
    with pytest.raises(ConfigError, match="needs a time zone"):
        build({"expression": "0 0 * * *"}, NOWHERE)


def test_it_describes_itself_with_its_zone():
    assert build({"expression": " 30  6 * * mon-fri "}).describe() == (
        "30 6 * * mon-fri (Europe/Berlin)"
    )


def test_seconds_come_first_unless_the_configuration_says_last():
    first = build({"expression": "15 30 6 * * *"})
    last = build({"expression": "30 6 * * * 15", "seconds": "last"})
    assert first.next_after(ANCHOR) == datetime(2024, 1, 1, 5, 30, 15, tzinfo=UTC)
    assert last.next_after(ANCHOR) == first.next_after(ANCHOR)


def test_the_place_of_the_seconds_does_not_matter_for_five_fields():
    assert build({"expression": "30 6 * * *", "seconds": "last"}).next_after(ANCHOR) == datetime(
        2024, 1, 1, 5, 30, tzinfo=UTC
    )

"""Time zones by name."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from alicia_scheduler.api import ConfigError, load_timezone


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+3", "EST5EDT"]
)
def test_an_iana_name_gives_its_zone(name):
    assert load_timezone(name) == ZoneInfo(name)


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Phobos",
        "",
        " ",
        "Europe",
        "Europe/",
        "/etc/localtime",
        "../../etc/localtime",
        "Europe/../UTC",
        "Europe/Berlin\n",
        "Europe/Berlin\0",
        "Ευρώπη/Αθήνα",
        "x" * 5000,
        "\ud800",
    ],
)
def test_a_name_that_no_zone_has_is_refused(name):
    with pytest.raises(ConfigError, match="unknown time zone"):
        load_timezone(name)


@pytest.mark.parametrize("name", ["localtime", "posixrules", "posix/UTC", "right/UTC"])
def test_files_beside_the_zones_are_no_zones(name):
    with pytest.raises(ConfigError, match="unknown time zone"):
        load_timezone(name)


@pytest.mark.parametrize("name", [None, 42, True, 1.5, ["UTC"], {"name": "UTC"}, b"UTC"])
def test_what_is_not_text_is_refused(name):
    with pytest.raises(ConfigError, match="a time zone is a name in quotes"):
        load_timezone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Europe/Berlim", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Berlin", "Europe/Berlin"),
        ("America/New York", "America/New_York"),
        ("kolkata", "Asia/Kolkata"),
    ],
)
def test_a_near_miss_is_answered_with_the_name_that_was_meant(name, meant):
    with pytest.raises(ConfigError) as refusal:
        load_timezone(name)
    assert refusal.value.hint == f"did you mean {meant!r}?"


@pytest.mark.parametrize("name", ["UTC+2", "GMT-3", "+02:00", "utc+05:30"])
def test_an_offset_is_answered_with_why_it_is_no_zone(name):
    with pytest.raises(ConfigError) as refusal:
        load_timezone(name)
    assert "an offset is not a time zone" in str(refusal.value)


@pytest.mark.parametrize("name", ["CEST", "PDT", "IST"])
def test_an_abbreviation_is_answered_with_what_to_write(name):
    with pytest.raises(ConfigError) as refusal:
        load_timezone(name)
    assert "name of a place" in str(refusal.value)

"""Limits in a configuration: named ones that events share, and the size of an event."""

from datetime import UTC, datetime
from textwrap import dedent

import pytest

from alicia_scheduler.api import ConfigError
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.events import SIZE_LIMIT, event_from_config
from alicia_scheduler.config.limits import check_limit
from alicia_scheduler.config.load import configuration
from alicia_scheduler.host.check import check_configuration
from alicia_scheduler.host.registry import Registry

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def loaded(text):
    return configuration(Document.parse(dedent(text), "home.toml"))


def checked(text):
    return check_configuration(loaded(text), Registry([]), now=NOW)


def event_with(limit):
    return f"""
        [limits.radio]
        capacity = 1
        [events.lamp]
        schedule_type = "cron"
        schedule_config = {{ expression = "* * * * *" }}
        action = {{ type = "mqtt_publish" }}
        limit = "{limit}"
        """


def test_limits_are_read_with_their_capacity():
    found = loaded("[limits.radio]\ncapacity = 1\n[limits.disk]\ncapacity = 4\n")
    assert found.issues == []
    assert found.limits == {"radio": 1, "disk": 4}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[limits.radio]", "home.toml:1: limits.radio: "),
        ("[limits.radio]\ncapacity = 0", "home.toml:2: limits.radio.capacity: must be at least 1"),
        ("[limits.radio]\ncapacty = 1", "did you mean 'capacity'?"),
        ("[limits]\nradio = 1", "write [limits.<name>] with its keys below"),
    ],
)
def test_a_limit_that_is_wrong_is_refused_in_its_place(text, said):
    issues = [str(issue) for issue in loaded(text).issues]
    assert any(said in issue for issue in issues), issues


def test_an_event_may_name_a_limit_of_the_configuration():
    found = checked(event_with("radio"))
    assert found.issues == []
    assert found.limits == {"radio": 1}
    assert found.events[0].limit == "radio"


def test_a_limit_that_is_not_there_is_refused_with_the_near_name():
    (issue,) = checked(event_with("radoi")).issues
    assert str(issue) == (
        "home.toml:8: events.lamp.limit: there is no limit 'radoi' (did you mean 'radio'?)"
    )


def test_a_limit_whose_table_is_wrong_is_one_mistake_and_not_two():
    text = event_with("radio").replace("capacity = 1", "capacity = -1")
    (issue,) = checked(text).issues
    assert issue.path == ("limits", "radio", "capacity")


def test_without_any_limits_the_hint_says_how_to_make_one():
    with pytest.raises(ConfigError, match=r"add \[limits.radio\] with its capacity"):
        check_limit("radio", ())


@pytest.mark.parametrize(
    ("key", "bad", "said"),
    [
        ("min_interval", 0.001, "must be at least 0.01"),
        ("max_waiting", 0, "must be at least 1"),
    ],
)
def test_settings_of_the_host_have_bounds(key, bad, said):
    (issue,) = loaded(f"[scheduler]\n{key} = {bad}\n").issues
    assert said in str(issue)


def made(**fields):
    issues = []
    raw = {
        "schedule_type": "cron",
        "schedule_config": {"expression": "* * * * *"},
        "action": {"type": "mqtt_publish"},
    }
    event = event_from_config(
        "lamp", raw | fields, now=NOW, origin="file", issues=issues, path=("events", "lamp")
    )
    return event, issues


def test_an_event_of_64_kib_is_let_in():
    event, issues = made(action={"message": "x" * (SIZE_LIMIT - 2000)})
    assert issues == []
    assert event is not None


@pytest.mark.parametrize("key", ["action", "schedule_config", "description"])
def test_a_larger_event_is_refused_with_the_place_of_its_largest_part_and_the_fix(key):
    large = "x" * SIZE_LIMIT
    event, issues = made(**{key: large if key == "description" else {"text": large}})
    (issue,) = issues
    assert event is None
    assert issue.path == ("events", "lamp", key)
    assert "bytes as JSON" in issue.message
    assert f"may have {SIZE_LIMIT} bytes" in issue.hint

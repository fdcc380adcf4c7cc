"""An event as a person writes it becomes a definition, or a list of its mistakes."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, time
from typing import Any

import msgspec
import pytest

from alicia_scheduler.api import (
    ConfigError,
    EventState,
    Misfire,
    Mode,
    OnInterrupted,
    ScheduledEvent,
    to_wire,
)
from alicia_scheduler.config.document import Document
from alicia_scheduler.config.events import KERNEL_FIELDS, EventTable, event_from_config
from alicia_scheduler.config.plain import plain

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LAMP = {"schedule_type": "cron", "schedule_config": {}, "action": {"topic": "a/b"}}


def read(raw: object, event_id: str = "lamp") -> tuple[ScheduledEvent | None, list[ConfigError]]:
    issues: list[ConfigError] = []
    event = event_from_config(
        event_id, raw, now=NOW, origin="file", issues=issues, path=("events", event_id)
    )
    assert (event is None) == bool(issues)
    return event, issues


def event_of(**fields: Any) -> ScheduledEvent:
    event, issues = read({**LAMP, **fields})
    assert event is not None, issues
    return event


def issues_of(**fields: Any) -> list[ConfigError]:
    return read({**LAMP, **fields})[1]


def issue_of(**fields: Any) -> ConfigError:
    (issue,) = issues_of(**fields)
    return issue


# What is made


def test_three_keys_make_an_event_with_the_defaults_of_the_model() -> None:
    assert event_of() == ScheduledEvent(
        event_id="lamp",
        name="lamp",
        schedule_type="cron",
        schedule_config={},
        action={"type": "mqtt_publish", "topic": "a/b"},
        created_at=NOW,
        updated_at=NOW,
        origin="file",
    )


def test_every_field_of_the_user_arrives() -> None:
    event = event_of(
        name="Kitchen lights",
        description="in the morning",
        tags=["kitchen", "light"],
        enabled=False,
        timezone="Europe/Berlin",
        max_retries=0,
        retry_delay=1,
        retry_backoff=1,
        retry_max_delay=2,
        retry_jitter=0,
        timeout=0.5,
        mode="queued",
        max_executions=1,
        misfire="all",
        misfire_grace=0,
        jitter=3,
        starts_at="2026-01-01T00:00Z",
        ends_at=datetime.fromisoformat("2026-01-01T01:00:01+01:00"),
        max_runs=1,
        on_interrupted="fail",
    )
    assert event == ScheduledEvent(
        event_id="lamp",
        name="Kitchen lights",
        schedule_type="cron",
        schedule_config={},
        action={"type": "mqtt_publish", "topic": "a/b"},
        description="in the morning",
        tags=("kitchen", "light"),
        enabled=False,
        timezone="Europe/Berlin",
        max_retries=0,
        retry_delay=1.0,
        retry_backoff=1.0,
        retry_max_delay=2.0,
        retry_jitter=0.0,
        timeout=0.5,
        mode=Mode.QUEUED,
        max_executions=1,
        misfire=Misfire.ALL,
        misfire_grace=0.0,
        jitter=3.0,
        starts_at=datetime(2026, 1, 1, tzinfo=UTC),
        ends_at=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
        max_runs=1,
        on_interrupted=OnInterrupted.FAIL,
        created_at=NOW,
        updated_at=NOW,
        origin="file",
    )


def test_the_table_has_exactly_the_fields_of_the_model_that_are_not_the_kernels() -> None:
    assert {*EventTable.__struct_fields__} == {*ScheduledEvent.__struct_fields__} - KERNEL_FIELDS


def test_the_table_has_the_defaults_of_the_model() -> None:
    def defaults(cls: type[msgspec.Struct]) -> dict[str, object]:
        fields = msgspec.structs.fields(cls)
        return {
            item.name: item.default for item in fields if item.name not in {*KERNEL_FIELDS, "name"}
        }

    assert defaults(EventTable) == defaults(ScheduledEvent)


def test_an_action_keeps_its_type() -> None:
    assert event_of(action={"type": "http_request"}).action == {"type": "http_request"}


def test_the_raw_table_is_left_as_it_was() -> None:
    raw = {**LAMP, "action": {"topic": "a", "at": time(7)}}
    event, _ = read(raw)
    assert event is not None
    assert raw["action"] == {"topic": "a", "at": time(7)}


def test_dates_and_times_of_toml_become_text_that_json_can_hold() -> None:
    document = Document.parse(
        """
        schedule_type = "once"
        action.topic = "a"
        [schedule_config]
        instant = 2026-03-29T03:00:00+02:00
        local = 2026-03-29T03:00:00.5
        days = [2026-03-29]
        deep.time = 07:30:00
        """
    )
    event, _ = read(document.data)
    assert event is not None
    assert event.schedule_config == {
        "instant": "2026-03-29T03:00:00+02:00",
        "local": "2026-03-29T03:00:00.500000",
        "days": ["2026-03-29"],
        "deep": {"time": "07:30:00"},
    }
    assert json.loads(json.dumps(to_wire(event)))["schedule_config"] == event.schedule_config


# Mistakes


def test_all_mistakes_of_an_event_are_reported_together() -> None:
    _, issues = read(
        {
            "schedule_tpye": "cron",
            "schedule_config": {"at": float("nan")},
            "action": {"type": 3, "n": float("inf")},
            "timezone": "Europe/Berln",
            "revision": 2,
            "timeout": 0,
        }
    )
    assert {issue.path[2:] for issue in issues} == {
        ("schedule_tpye",),
        ("schedule_config", "at"),
        ("action", "type"),
        ("action", "n"),
        ("timezone",),
        ("revision",),
        ("timeout",),
    }


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("name", 3),
        ("description", ["a"]),
        ("tags", "kitchen"),
        ("tags", ["a", 1]),
        ("tags", [""]),
        ("enabled", 1),
        ("enabled", "yes"),
        ("timezone", "CEST"),
        ("timezone", 2),
        ("timezone", ""),
        ("schedule_type", ""),
        ("schedule_config", "30 6 * * *"),
        ("schedule_config", []),
        ("action", "mqtt_publish"),
        ("max_retries", -1),
        ("max_retries", 1.5),
        ("max_retries", 10**30),
        ("retry_delay", -1),
        ("retry_delay", float("inf")),
        ("retry_backoff", 0.5),
        ("retry_max_delay", -0.1),
        ("retry_jitter", 1.1),
        ("retry_jitter", -0.1),
        ("timeout", 0),
        ("timeout", -1),
        ("timeout", float("nan")),
        ("timeout", 1e300),
        ("timeout", "5 min"),
        ("mode", "all"),
        ("max_executions", 0),
        ("misfire", "none"),
        ("misfire_grace", -1),
        ("jitter", -1),
        ("starts_at", "2026-01-01T00:00"),
        ("starts_at", date(2026, 1, 1)),
        ("ends_at", "never"),
        ("max_runs", 0),
        ("on_interrupted", "ignore"),
    ],
)
def test_a_value_that_means_nothing_is_refused_in_its_place(key: str, value: object) -> None:
    assert issue_of(**{key: value}).path[:3] == ("events", "lamp", key)


@pytest.mark.parametrize("ends_at", ["2026-01-01T00:00Z", "2025-12-31T23:59:59Z"])
def test_an_event_ends_after_it_starts(ends_at: str) -> None:
    issue = issue_of(starts_at="2026-01-01T00:00Z", ends_at=ends_at)
    assert issue.path == ("events", "lamp", "ends_at")
    assert "later than starts_at" in issue.message


@pytest.mark.parametrize("key", ["schedule_type", "schedule_config", "action"])
def test_what_and_when_are_required(key: str) -> None:
    raw = {name: value for name, value in LAMP.items() if name != key}
    _, issues = read(raw)
    assert [issue.message for issue in issues] == [f"the key '{key}' is missing"]


@pytest.mark.parametrize("key", sorted({"revision", "origin", "created_at", "updated_at"}))
def test_the_kernels_own_fields_cannot_be_set(key: str) -> None:
    assert issue_of(**{key: 1}).message == f"'{key}' belongs to the scheduler and cannot be set"


@pytest.mark.parametrize("key", EventState.__struct_fields__)
def test_the_state_of_an_event_cannot_be_set(key: str) -> None:
    assert issue_of(**{key: 1}).path == ("events", "lamp", key)


def test_an_event_id_inside_the_table_points_to_the_tables_name() -> None:
    assert "table's name" in str(issue_of(event_id="lamp").hint)


@pytest.mark.parametrize("event_id", ["a", "A.b-c_9", "0", "x" * 128])
def test_ids_of_events(event_id: str) -> None:
    event, _ = read(LAMP, event_id)
    assert event is not None
    assert event.event_id == event_id


@pytest.mark.parametrize("event_id", ["", "-a", ".a", "a b", "a/b", "a\n", "é", "x" * 129])
def test_other_ids_are_refused(event_id: str) -> None:
    _, issues = read(LAMP, event_id)
    assert "cannot be the id of an event" in issues[0].message


@pytest.mark.parametrize("raw", [True, "text", [LAMP], None])
def test_an_event_is_a_table(raw: object) -> None:
    _, (issue,) = read(raw)
    assert "must be a table" in issue.message


def test_text_that_is_not_unicode_is_refused() -> None:
    assert issue_of(description="\ud800").path == ("events", "lamp", "description")


# Plain data


@pytest.mark.parametrize(
    "value", [None, True, 1, -1.5, "é", [], {}, {"a": [1, {"b": None}]}, 2**64 - 1, -(2**63)]
)
def test_plain_data_stay_as_they_are(value: object) -> None:
    assert plain(value) == value


@pytest.mark.parametrize(
    "value",
    [float("nan"), float("inf"), 2**64, -(2**63) - 1, "\ud800", {"\ud800": 1}, {1: 2}, {1}, b"a"],
)
def test_what_json_has_no_form_for_is_refused(value: object) -> None:
    with pytest.raises(ConfigError):
        plain([value])


def test_a_refusal_names_the_place() -> None:
    with pytest.raises(ConfigError, match=r"^a\.b\.1\.c: must be a finite number, not nan$"):
        plain({"b": [0, {"c": float("nan")}]}, path=("a",))


def test_bottomless_data_are_refused() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(ConfigError, match="deeper than"):
        plain(value)

"""Pure parts: both vocabularies of schedules, envelopes, names, bounds, and the configuration."""

import json
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.api import CommandError, ConfigError
from alicia_service_alicia_bus import AliciaBusConfig
from alicia_service_alicia_bus.envelope import unwrap, wrap
from alicia_service_alicia_bus.events import execution_shown, new_event, statuses_meant
from alicia_service_alicia_bus.remembered import Remembered
from alicia_service_alicia_bus.replies import Address
from alicia_service_alicia_bus.schedules import translated

NOW = datetime(2026, 3, 1, tzinfo=UTC)

VOCABULARY = [
    # the code's
    ("once", {"timestamp": 1.5}, {"timestamp": 1.5}),
    ("interval", {"interval": 60}, {"interval": 60}),
    ("recurring", {"frequency": "hourly"}, {"frequency": "hourly"}),
    ("cron", {"cron": "* * * * *"}, {"cron": "* * * * *"}),
    # the book's
    ("interval", {"value": 5}, {"type": "seconds", "value": 5}),
    ("interval", {"type": "minutes"}, {"type": "minutes", "value": 60}),
    ("interval", {"type": "hours", "value": 2}, {"type": "hours", "value": 2}),
    ("recurring", {"time_of_day": "07:30"}, {"frequency": "daily", "time_of_day": "07:30"}),
    (
        "recurring",
        {"frequency": "monthly", "time_of_day": "07:30", "days_of_month": [1]},
        {"frequency": "monthly", "time_of_day": "07:30", "days_of_month": [1]},
    ),
    # ours
    ("solar", {"event": "sunset"}, {"event": "sunset"}),
    ("once", {"run_at": "2026-12-24T18:00:00Z"}, {"run_at": "2026-12-24T18:00:00Z"}),
]


@pytest.mark.parametrize(("kind", "written", "taken"), VOCABULARY)
def test_a_schedule_of_either_vocabulary_is_taken(kind, written, taken):
    assert translated(kind, written) == (taken, None)


def test_a_time_zone_within_a_schedule_becomes_that_of_the_event():
    event, warnings = new_event(
        {
            "name": "porch",
            "schedule_type": "recurring",
            "schedule_config": {"frequency": "daily", "timezone": "Europe/Berlin"},
        }
    )
    assert event["timezone"] == "Europe/Berlin"
    assert event["schedule_config"] == {"frequency": "daily"}
    assert warnings == []


@pytest.mark.parametrize(
    ("kind", "written", "path"),
    [
        ("once", {}, ()),
        ("interval", {}, ()),
        ("interval", {"every": 5}, ("every",)),
        ("recurring", {"frequency": "yearly"}, ("frequency",)),
        ("recurring", {"frequency": []}, ("frequency",)),
        ("cron", {}, ()),
        ("cron", {"cron": None}, ()),
        ("once", [], ()),
        ("once", {"timestamp": 1, "timezone": 2}, ("timezone",)),
    ],
)
def test_s14_what_neither_vocabulary_defines_is_refused(kind, written, path):
    with pytest.raises(CommandError) as refusal:
        translated(kind, written)
    assert refusal.value.path == ("event", "schedule_config", *path)


def test_what_an_event_leaves_out_is_the_originals_default():
    event, _ = new_event({"schedule_config": {"timestamp": 1}})
    assert event["name"] == f"mqtt_event_{event['event_id']}"
    assert event["schedule_type"] == "once"
    assert event["action"] == {"type": "mqtt_publish", "qos": 1}


@pytest.mark.parametrize("raw", [None, {}, [], "x", 5])
def test_an_event_that_is_none_is_refused(raw):
    with pytest.raises(CommandError):
        new_event(raw)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("skipped", "cancelled"), ("missed", "cancelled"), ("interrupted", "failed")],
)
def test_c12_statuses_are_told_and_meant_in_the_originals_five(ours, theirs):
    assert execution_shown({"status": ours})["status"] == theirs
    assert ours in statuses_meant(theirs)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
MARKED = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        (
            "message_id",
            "message_type",
            "routing",
            "source",
            "timestamp",
            "ttl",
            "payload",
            "command",
        ),
        JSON,
    ),
)


def read(payload):
    """Everything that is read of a message before anybody looks at the command."""
    incoming = unwrap(payload)
    incoming.expires(300.0)
    incoming.text("request_id")
    return incoming


def outcome(payload):
    """How many levels it has, or the code with which it is refused."""
    try:
        return len(read(payload).levels)
    except CommandError as refusal:
        return refusal.code


@given(MARKED | JSON)
def test_whatever_is_json_is_unwrapped_or_refused(value):
    assert outcome(json.dumps(value).encode()) in {1, 2, 3, 4, "invalid_format"}


@given(st.binary(max_size=200))
def test_whatever_is_not_json_is_refused(payload):
    assert outcome(payload) in {1, "invalid_format"}


@given(st.dictionaries(st.text(), st.integers()), st.sampled_from(["standard", "hybrid", "none"]))
def test_what_is_wrapped_is_unwrapped_again(message, style):
    wrapped = wrap(message, style, now=NOW, source="us")
    if style == "none" and {"payload"} & message.keys():
        return
    assert unwrap(wrapped).fields == message


def test_b4_in_a_hybrid_the_keys_of_the_envelope_win():
    wrapped = json.loads(
        wrap({"timestamp": 1, "source": "x", "state": "on"}, "hybrid", now=NOW, source="us")
    )
    assert (wrapped["source"], wrapped["timestamp"], wrapped["state"]) == (
        "us",
        NOW.timestamp(),
        "on",
    )
    assert wrapped["payload"] == {"timestamp": 1, "source": "x", "state": "on"}


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_answers_are_forgotten_by_age_number_and_bytes():
    clock = Clock()
    table = Remembered(limit=10, age=60.0, now=clock)
    for number in range(30):
        table.begin(number, Address(topic="a"))
        assert table.end(number, {"data": number}, keep=True) == [Address(topic="a")]
    assert len(table) == 10
    assert table.find(29).reply == {"data": 29}
    assert table.find(0) is None
    clock.now = 61.0
    assert table.find(29) is None
    assert len(table) == 0
    for number in range(100):
        table.begin(number, None)
        table.end(number, {"data": "x" * 60_000}, keep=True)
    assert len(table) <= 10
    large = Remembered(limit=10_000, age=60.0, now=clock)
    for number in range(100):
        large.begin(number, None)
        large.end(number, {"data": "x" * 60_000}, keep=True)
    assert len(large) < 20


def test_of_a_long_answer_only_that_it_was_given_is_remembered():
    table = Remembered(limit=10, age=60.0, now=Clock())
    table.begin(1, None)
    table.end(1, {"status": "ok", "data": "x" * 100_000}, keep=True)
    assert table.find(1).reply["error"]["code"] == "not_supported"


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"prefix": "a/#"}, ("prefix",)),
        ({"prefix": "/a"}, ("prefix",)),
        ({"bus": "a+"}, ("bus",)),
        ({"service_name": "a/b"}, ("service_name",)),
        ({"instance_id": ""}, ("instance_id",)),
        ({"completion_topic": "a/#/b"}, ("completion_topic",)),
        ({"completion_topic": ""}, ("completion_topic",)),
        ({"reply_topics": ("a", "#b")}, ("reply_topics", 1)),
    ],
)
def test_a_configuration_that_can_never_work_is_refused(options, path):
    with pytest.raises(ConfigError) as refusal:
        AliciaBusConfig(**options)
    assert refusal.value.path == path


def test_an_unknown_key_is_refused():
    with pytest.raises(msgspec.ValidationError, match="topic"):
        msgspec.convert({"topic": "x"}, AliciaBusConfig)

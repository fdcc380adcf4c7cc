"""Each notification is one line that says time, outcome, event, slot and lateness."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alicia_scheduler.api import EventExecution, Notification, Status, Trigger, to_wire
from alicia_sink_log.sink import json_line
from alicia_sink_log.text import text_line

NOW = datetime(2026, 11, 23, 22, 15, 13, 3000, tzinfo=UTC)
SLOT = NOW - timedelta(milliseconds=3)
BERLIN = ZoneInfo("Europe/Berlin")


def notification(event_type: str, data: dict[str, Any]) -> Notification:
    return Notification(
        event_type=event_type, event_data=data, timestamp=NOW, source="event_scheduler", sequence=7
    )


def execution(name: str = "Porch light", **fields: Any) -> dict[str, Any]:
    """What the kernel says about an execution."""
    record = EventExecution(
        execution_id="x1", event_id="porch", revision=1, **{"scheduled_time": SLOT, **fields}
    )
    extra = {"name": name, "lateness": record.lateness, "duration": record.duration}
    return {**to_wire(record), **extra}


def line(event_type: str, data: dict[str, Any], *, colour: bool = False) -> str:
    return text_line(notification(event_type, data), zone=BERLIN, colour=colour)


@pytest.mark.parametrize(
    ("event_type", "data", "expected"),
    [
        (
            "execution_started",
            execution(status=Status.RUNNING, start_time=NOW),
            "▸ started      Porch light             slot 23:15:13      late  0.003 s",
        ),
        (
            "execution_output",
            {"event_id": "porch", "execution_id": "x1", "line": "copying\x1b[2J 3 of 4"},
            "│ output       porch                   copying\\u001b[2J 3 of 4",
        ),
        (
            "execution_completed",
            execution(start_time=NOW, end_time=NOW + timedelta(seconds=0.25)),
            (
                "✓ completed    Porch light             slot 23:15:13      late  0.003 s  "
                "took  0.250 s"
            ),
        ),
        (
            "execution_failed",
            execution(retry_count=3, reason="exception", error_message="ValueError: no\n  at x"),
            ("✗ failed       Porch light             slot 23:15:13      attempt 4  "
            "exception: ValueError: no"),
        ),
        (
            "execution_timed_out",
            execution(start_time=SLOT, end_time=SLOT + timedelta(seconds=300), reason="timeout"),
            ("✗ timed out    Porch light             slot 23:15:13      late  0.000 s  "
            "took 5 min 00 s  timeout"),
        ),
        (
            "execution_retry_scheduled",
            execution(error_message="no broker", next_attempt_at=SLOT + timedelta(minutes=1)),
            "↻ retry        Porch light             slot 23:15:13      again 23:16:13  no broker",
        ),
        (
            "execution_missed",
            execution(scheduled_time=SLOT - timedelta(days=3), reason="grace"),
            "! missed       Porch light             slot 2026-11-20 23:15:13  grace",
        ),
        (
            "execution_completed",
            execution(trigger=Trigger.CATCHUP, start_time=SLOT + timedelta(hours=2, minutes=5)),
            "✓ completed    Porch light             slot 23:15:13      late 2 h 05 min  catchup",
        ),
        (
            "event_created",
            {"name": "Porch light", "event_id": "porch", "next_run": SLOT.timestamp() + 0.5},
            "+ created      Porch light             next 23:15:13.500",
        ),
        (
            "event_deleted",
            {"name": "Porch light", "event_id": "porch", "next_run": None},
            "- deleted      Porch light",
        ),
        (
            "event_paused",
            {"name": "Porch light", "event_id": "porch", "paused_reason": "3 failed\nmore"},
            "■ paused       Porch light             3 failed",
        ),
        ("host_started", {"message": "schedule runs"}, "* host         schedule runs"),
        ("recovery", {"message": "found 2", "found": 2}, "↻ recovery     found 2"),
        ("error", {"message": "it broke", "event_id": None}, "! error        it broke"),
        ("new_type", {"a": 1}, '* new_type     {"a": 1}'),
    ],
)  # fmt: skip
def test_a_notification_says_what_happened(
    event_type: str, data: dict[str, Any], expected: str
) -> None:
    assert line(event_type, data) == f"2026-11-23 23:15:13.003+01:00  {expected}"


def test_the_time_is_that_of_the_zone_with_its_offset() -> None:
    shown = text_line(notification("error", {}), zone=ZoneInfo("Asia/Kathmandu"), colour=False)
    assert shown.startswith("2026-11-24 04:00:13.003+05:45  ")


def test_an_event_without_a_name_goes_by_its_id() -> None:
    assert "porch " in line("execution_started", execution(name=""))


def test_a_long_name_is_cut_to_keep_the_columns() -> None:
    shown = line("execution_started", execution(name="A very long name of an event"))
    assert "  A very long name of a…  slot" in shown


def test_a_long_message_is_cut() -> None:
    assert len(line("error", {"message": "x" * 10_000})) < 300


def test_colours_change_no_letter() -> None:
    plain, coloured = (
        line("execution_failed", execution(), colour=colour) for colour in (False, True)
    )
    assert "\x1b[31m✗ failed" in coloured
    for code in ("\x1b[31m", "\x1b[2m", "\x1b[0m"):
        coloured = coloured.replace(code, "")
    assert coloured == plain


def test_control_characters_of_data_are_written_as_escapes() -> None:
    shown = line("execution_failed", execution(name="\x1b[2J\u202e", error_message="a\x9bb\x00c"))
    assert "\\u001b[2J\\u202e" in shown
    assert "a\\u009bb\\u0000c" in shown


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
keys = st.sampled_from(
    ["name", "event_id", "scheduled_time", "lateness", "duration", "retry_count", "reason",
     "error_message", "trigger", "next_attempt_at", "next_run", "message"]
)  # fmt: skip
types = st.sampled_from(["execution_failed", "event_created", "error"]) | st.text(max_size=8)


@settings(deadline=None)
@given(types, st.dictionaries(keys, values))
def test_whatever_the_data_are_there_is_one_printable_line(
    event_type: str, data: dict[str, Any]
) -> None:
    assert line(event_type, data).isprintable()


@settings(deadline=None)
@given(types, st.dictionaries(keys, values))
def test_the_json_line_is_one_printable_line_that_reads_back(
    event_type: str, data: dict[str, Any]
) -> None:
    written = json_line(notification(event_type, data))
    assert written.isascii()
    assert written.isprintable()
    read = json.loads(written)
    assert read["event_type"] == event_type
    assert read["event_data"].keys() == data.keys()


def test_the_json_line_has_the_shape_of_the_bus() -> None:
    assert json.loads(json_line(notification("error", {"message": "é"}))) == {
        "event_type": "error",
        "event_data": {"message": "é"},
        "timestamp": NOW.timestamp(),
        "source": "event_scheduler",
        "sequence": 7,
    }

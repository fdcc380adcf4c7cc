"""The pieces that the command line is made of: times, tables, values, TOML."""

import json
import logging
import tomllib
from datetime import UTC, datetime, timedelta

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from alicia_scheduler.cli.definition import Setting, assigned, read_message, read_setting
from alicia_scheduler.cli.loglines import LineFormatter
from alicia_scheduler.cli.notices import notice_parts
from alicia_scheduler.cli.output import escaped_json, print_table, printable
from alicia_scheduler.cli.relative import elapsed, told_time
from alicia_scheduler.cli.selection import matches
from alicia_scheduler.cli.tomltext import toml_key, toml_lines, toml_value

NOW = datetime(2026, 11, 27, 17, 0, tzinfo=UTC)


# -- times -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.7, "0.7 s"),
        (9.96, "10.0 s"),
        (10, "10 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (61, "1 min 1 s"),
        (300, "5 min"),
        (661, "11 min"),
        (3600, "1 h"),
        (3660, "1 h 1 min"),
        (86_400, "1 d"),
        (90_000, "1 d 1 h"),
        (400 * 86_400, "400 d"),
    ],
)
def test_a_span_is_told_in_its_largest_units(seconds, text):
    assert elapsed(seconds) == text.replace(".0 s", " s")


@pytest.mark.parametrize(
    ("seconds", "text"), [(300, "in 5 min"), (-7200, "2 h ago"), (0.4, "now"), (-0.4, "now")]
)
def test_a_time_is_told_from_now_and_exactly(seconds, text):
    instant = NOW + timedelta(seconds=seconds)
    exact = instant.astimezone().isoformat(sep=" ", timespec="seconds")
    assert told_time(instant, NOW) == f"{text} ({exact})"


def test_no_time_is_a_dash():
    assert told_time(None) == "-"


# -- what reaches the terminal ---------------------------------------------------------------


@given(st.text())
def test_nothing_in_text_drives_a_terminal(text):
    assert printable(text).isprintable()


@given(st.recursive(st.text() | st.integers() | st.none(), st.lists))
def test_json_is_the_same_without_what_drives_a_terminal(value):
    try:
        document = json.dumps(value, ensure_ascii=False)
        document.encode()
    except UnicodeEncodeError:
        return
    shown = escaped_json(document)
    assert json.loads(shown) == value
    assert shown.isprintable()


def test_a_table_into_a_pipe_is_plain_aligned_columns(capsys):
    print_table(["A", "LONGER"], [["first", "1"], ["x\x1b[2J", "second"]])
    assert capsys.readouterr().out == "A         LONGER\nfirst     1\nx\\x1b[2J  second\n"


@given(
    st.dictionaries(st.text(max_size=5), st.text() | st.integers() | st.none() | st.floats())
    | st.text()
    | st.none()
)
def test_any_notification_is_one_line(data):
    parts = notice_parts({"event_type": "execution_failed", "event_data": data, "timestamp": 0})
    assert all(part.isprintable() for part in parts)


# -- TOML ------------------------------------------------------------------------------------

PLAIN = st.recursive(
    st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(-(2**63), 2**63 - 1)
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), PLAIN, max_size=4))
def test_what_is_written_as_toml_is_read_as_it_was(table):
    assert tomllib.loads("\n".join(toml_lines(table))) == table


def test_null_is_left_out_of_toml():
    assert toml_lines({"a": None, "b": 1}) == ["b = 1"]
    with pytest.raises(TypeError):
        toml_value([None])


def test_a_key_is_quoted_where_it_must_be():
    assert toml_key("morning-lights") == "morning-lights"
    assert toml_key("a.b") == '"a.b"'


# -- values on the command line --------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "path", "value"),
    [
        ("timeout=10", ("timeout",), 10),
        ("name=Kitchen lights", ("name",), "Kitchen lights"),
        ("action.qos = 1", ("action", "qos"), 1),
        ('action.headers."X-Key"=v', ("action", "headers", "X-Key"), "v"),
        ("enabled=false", ("enabled",), False),
        ('tags=["a", "b"]', ("tags",), ["a", "b"]),
        ("schedule_config={ value = 7 }", ("schedule_config",), {"value": 7}),
        ('action={"type": "x"}', ("action",), {"type": "x"}),
        ("ends_at=2030-01-01T00:00:00Z", ("ends_at",), "2030-01-01T00:00:00+00:00"),
        ("misfire_grace=null", ("misfire_grace",), None),
        ("description=", ("description",), ""),
    ],
)
def test_a_setting_is_read_as_toml_as_json_or_as_text(text, path, value):
    assert read_setting(text) == Setting(path, value)


@pytest.mark.parametrize("text", ["timeout", "=1", "a b=1", "timeout=nan", "a\n=1"])
def test_a_setting_that_means_nothing_is_wrong_usage(text):
    with pytest.raises(click.UsageError):
        read_setting(text)


def test_a_setting_finds_its_place_and_leaves_the_rest():
    before = {"action": {"type": "x", "qos": 0}, "tags": ["a"]}
    after = assigned(before, [Setting(("action", "qos"), 1), Setting(("new", "inner"), 2)])
    assert after == {"action": {"type": "x", "qos": 1}, "tags": ["a"], "new": {"inner": 2}}
    assert before["action"]["qos"] == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [('{"a": 1}', {"a": 1}), ("[1]", [1]), ("ON", "ON"), ("007", "007"), ("7", "7")],
)
def test_a_message_is_json_only_where_it_looks_like_it(text, message):
    assert read_message(text) == message


# -- selections ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("events", "tag", "expected"),
    [
        ((), None, True),
        (("lamp",), None, True),
        (("lam",), None, False),
        (("la*",), None, True),
        (("x", "l?mp"), None, True),
        ((), "red", True),
        ((), "blue", False),
        (("lamp",), "blue", False),
    ],
)
def test_events_are_selected_by_id_pattern_and_tag(events, tag, expected):
    assert matches({"event_id": "lamp", "tags": ["red"]}, events, tag) is expected


def logged(message, *arguments, failure=None):
    record = logging.LogRecord("alicia", logging.INFO, "x.py", 1, message, arguments, None)
    record.created = 1767225600.25
    if failure is not None:
        record.exc_info = (type(failure), failure, failure.__traceback__)
    return LineFormatter().format(record)


def test_a_message_of_the_log_is_one_line_in_utc_whatever_is_in_it():
    line = logged("events/pause by %s", "ann\n2026-01-01 ERROR alicia: \x1b[31mforged\u2028\r")
    assert line.startswith("2026-01-01 00:00:00.250+00:00 INFO alicia: events/pause by ann\\n")
    assert len(line.splitlines()) == 1
    assert line.isprintable()


def test_a_traceback_in_the_log_keeps_its_lines_and_nothing_that_drives_a_terminal():
    try:
        raise OSError("no \x1b[31m")
    except OSError as error:
        lines = logged("failed", failure=error).splitlines()
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "OSError: no \\x1b[31m"

"""`alicia preview`, `simulate`, `explain` and the warnings of `check`, with the real plugins."""

import json
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from alicia_scheduler.api import EventState, Status
from alicia_scheduler.api.store import SaveEvent, SaveExecution, SaveFact
from alicia_scheduler.cli.main import main
from alicia_scheduler.kernel.halting import HALTED
from alicia_scheduler.kernel.ledger import new_execution
from alicia_scheduler.store import STORE_FILE, SqliteStore
from alicia_scheduler.testing.kernel import make_event

CONFIG = """
[scheduler]
timezone = "Europe/Berlin"

[calendars.feasts]
dates = [2027-03-29]

[events.night]
schedule_type = "cron"
schedule_config = { expression = "30 2 * * *" }
exclude = ["sat", "feasts"]
action = { type = "mqtt_publish", topic = "a" }

[events.quarter]
schedule_type = "cron"
schedule_config = { expression = "*/15 * * * *" }
action = { type = "mqtt_publish", topic = "a" }

[events.past]
schedule_type = "once"
schedule_config = { run_at = "2020-01-01T00:00:00Z" }
action = { type = "mqtt_publish", topic = "a" }
"""


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(CONFIG)
    return str(file)


def alicia(*arguments):
    return CliRunner().invoke(main, arguments)


def answer(*arguments):
    result = alicia(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def slots(*arguments):
    return [row["local"] for row in answer("preview", *arguments)["slots"]]


# -- preview ---------------------------------------------------------------------------------


def test_an_event_of_the_file_is_previewed_with_its_exclusions(config):
    arguments = ("night", "--config", config, "--from", "2027-03-26", "--to", "2027-03-31T02:30")
    assert slots(*arguments) == [
        "2027-03-26T02:30:00+01:00",
        "2027-03-28T03:00:00+02:00",
        "2027-03-30T02:30:00+02:00",
        "2027-03-31T02:30:00+02:00",
    ]
    excluded = [row["excluded"] for row in answer("preview", *arguments, "--all")["slots"]]
    assert excluded == [None, "sat", None, "calendar feasts", None, None]


def test_a_specification_that_is_saved_nowhere_is_previewed():
    found = slots(
        "cron", "30 2 * * *", "--timezone", "Europe/Berlin", "--from", "2026-10-24", "-n", "2"
    )
    assert found == ["2026-10-24T02:30:00+02:00", "2026-10-25T02:30:00+02:00"]


@pytest.mark.parametrize(
    "spec",
    [
        '{"frequency": "daily", "time_of_day": "07:30"}',
        '{ frequency = "daily", time_of_day = "07:30" }',
        'frequency = "daily"\ntime_of_day = "07:30"',
    ],
)
def test_a_specification_may_be_json_or_toml(spec):
    found = slots("recurring", spec, "--timezone", "UTC", "--from", "2026-01-01", "-n", "1")
    assert found == ["2026-01-01T07:30:00+00:00"]


def test_people_see_one_line_a_slot_with_its_marks():
    result = alicia(
        "preview",
        "cron",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--from",
        "2026-03-28T12:00",
        "-n",
        "1",
    )
    assert result.stdout.splitlines() == [
        "30 2 * * * (Europe/Berlin)",
        "SLOT                           UTC                   MARKS",
        "2026-03-29 03:00:00+02:00 Sun  2026-03-29T01:00:00Z  moved out of a gap",
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("cron", "61 * * * *"), 1, "expression"),
        (("corn", "{ a = 1 }"), 1, "did you mean 'cron'"),
        (("recurring", "daily"), 2, "neither JSON nor TOML"),
        (("cron", "* * * * *", "--from", "yesterday"), 2, "yesterday"),
        (("cron", "* * * * *", "--from", "2026-02-01", "--to", "2026-01-01"), 2, "later"),
        (("cron", "* * * * *", "--timezone", "Mars/Base"), 1, "unknown time zone"),
        (("nothing", "--state-dir", "/nonexistent"), 1, "no event 'nothing'"),
        (("nothing", "--jitter", "5"), 2, "for a SPEC"),
    ],
)
def test_a_preview_that_cannot_be_given_says_why(arguments, code, said):
    result = alicia("preview", *arguments)
    assert result.exit_code == code
    assert said in result.output


# -- simulate --------------------------------------------------------------------------------


def test_a_simulated_month_has_every_slot_of_the_month(config):
    found = answer("simulate", config, "--from", "2026-03-01", "--until", "2026-04-01")
    # March 2026 in Berlin is an hour short, has four Saturdays, and the host starts at its first
    # instant, so the slot at that instant is before its time and the one at the end is within.
    assert found["events"] == {
        "night": {"completed": 31 - 4},
        "past": {},
        "quarter": {"completed": 31 * 96 - 4},
    }
    counted = Counter(item["event_id"] for item in found["executions"])
    assert counted == {"night": 27, "quarter": 2972}


def test_people_see_executions_and_a_summary_for_each_event(config):
    result = alicia("simulate", config, "--from", "2026-06-01T02:00", "--for", "35m")
    lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
    assert lines == [
        "SLOT EVENT DISPOSITION REASON LATENESS",
        "2026-06-01 02:15:00+02:00 quarter completed 0.000 s",
        "2026-06-01 02:30:00+02:00 night completed 0.000 s",
        "2026-06-01 02:30:00+02:00 quarter completed 0.000 s",
        "",
        "EVENT SLOTS OUTCOMES",
        "night 1 1 completed",
        "past 0 none",
        "quarter 2 2 completed",
        "3 executions after 2026-06-01 02:00:00+02:00 until 2026-06-01 02:35:00+02:00",
    ]


@pytest.mark.parametrize(
    "arguments",
    [("--for", "soon"), ("--for", "0s"), ("--for", "1d", "--until", "2030-01-01")],
)
def test_a_span_that_means_nothing_is_wrong_usage(config, arguments):
    assert alicia("simulate", config, *arguments).exit_code == 2


def test_a_configuration_with_a_mistake_is_not_simulated(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(CONFIG.replace("30 2 *", "30 25 *"))
    assert alicia("simulate", str(file)).exit_code == 1


# -- explain ---------------------------------------------------------------------------------


def test_a_slot_to_come_is_explained_filter_by_filter(config):
    result = alicia("explain", "night", "2027-03-27T02:30", "--config", config)
    assert result.exit_code == 0
    first, _, *table = result.stdout.splitlines()
    assert first.endswith("does not run: exclude: its day is excluded by 'sat'")
    assert [line.split()[:2] for line in table[:3]] == [
        ["schedule", "passes"],
        ["bounds", "passes"],
        ["exclude", "stops"],
    ]


def test_without_a_time_the_next_slot_is_explained(config):
    (found,) = answer("explain", "quarter", "--config", config)["slots"]
    assert found["slot"] > datetime.now(UTC).timestamp()
    assert found["outcome"].startswith("will run")


def test_an_event_with_nothing_to_come_has_no_explanation(config):
    result = alicia("explain", "past", "--config", config)
    assert result.exit_code == 1
    assert "no slot from now on" in result.output


async def test_a_past_slot_is_explained_from_the_history_of_the_state_directory(tmp_path):
    slot = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
    event = make_event(
        "night",
        schedule_type="cron",
        schedule_config={"expression": "30 2 * * *"},
        timezone="Europe/Berlin",
    )
    ran = replace(
        new_execution(event, slot),
        status=Status.FAILED,
        reason="timeout",
        start_time=slot + timedelta(seconds=1),
        end_time=slot + timedelta(seconds=31),
        error_message="timed out after 30 s",
    )
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await store.commit([SaveEvent(event, EventState()), SaveExecution(ran)])
    arguments = ("explain", "night", "2026-06-01T02:30", "--state-dir", str(tmp_path))
    (found,) = answer(*arguments)["slots"]
    assert found["outcome"] == (
        "failed (timeout), started 1.000 s after its slot, took 30.000 s, timed out after 30 s"
    )
    assert [item["execution_id"] for item in found["executions"]] == [ran.execution_id]


async def test_a_slot_is_found_however_much_has_run_since(tmp_path):
    event = make_event("night", schedule_type="cron", schedule_config={"expression": "* * * * *"})
    first = datetime(2026, 6, 1, 0, 30, tzinfo=UTC)
    ran = [
        replace(new_execution(event, first + timedelta(minutes=minute)), status=Status.COMPLETED)
        for minute in range(10_100)
    ]
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await store.commit([SaveEvent(event, EventState()), *map(SaveExecution, ran)])
    (found,) = answer("explain", "night", first.isoformat(), f"--state-dir={tmp_path}")["slots"]
    assert [item["execution_id"] for item in found["executions"]] == [ran[0].execution_id]


# -- check -----------------------------------------------------------------------------------


def test_the_check_warns_of_clock_changes_and_of_events_that_never_run(config):
    findings = answer("check", config)["findings"]
    kinds = {(item["event_id"], item["kind"]) for item in findings}
    assert kinds == {("night", "clock_change"), ("past", "never_fires")}
    result = alicia("check", config)
    assert "warning: events.past: never runs: " in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("simulate", "CONFIG", "--from", "9999-12-30T00:00", "--for", "30d"),
        ("simulate", "CONFIG", "--duration", "nan"),
        ("preview", "cron", "0 0 * * *", "--jitter", "inf"),
        ("preview", "cron", "0 0 * * *", "--jitter", "nan"),
        ("explain", "night", "0001-01-01", "--config", "CONFIG"),
    ],
)
def test_numbers_and_times_that_are_none_are_mistakes_of_usage(config, arguments):
    result = alicia(*(config if each == "CONFIG" else each for each in arguments))
    assert result.exit_code == 2
    assert "Error: " in result.output
    assert "must say its time zone" not in result.output


async def test_a_pause_of_the_whole_schedule_is_explained_without_a_host(tmp_path):
    event = make_event(
        "lamp", schedule_type="cron", schedule_config={"expression": "0 0 1 1 *"}, timezone="UTC"
    )
    anchored = EventState(anchor=datetime(2026, 1, 1, tzinfo=UTC))
    paused = SaveFact(HALTED, datetime(2090, 1, 1, tzinfo=UTC).timestamp())
    async with SqliteStore.open(tmp_path / STORE_FILE) as store:
        await store.commit([SaveEvent(event, anchored), paused])
    found = answer("explain", "lamp", "2088-01-01T00:00Z", "--state-dir", str(tmp_path))
    stopped = [each["why"] for each in found["slots"][0]["verdicts"] if not each["passed"]]
    assert stopped == [
        "the event is paused until 2090-01-01 00:00:00+00:00 (the whole schedule is paused)"
    ]

"""Policies from the outside: limits, dead letters and events that are too fast, with the real
plugins, the real command line and a running host."""

import json
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from alicia_scheduler.api import ConfigError
from alicia_scheduler.cli.main import main
from alicia_scheduler.config.settings import Settings
from alicia_scheduler.host.discovery import find_candidates
from alicia_scheduler.host.loader import load_plugins
from alicia_scheduler.host.registry import Registry
from alicia_scheduler.host.resolver import Resolver
from alicia_scheduler.testing.kernel import make_event

ALICIA = str(Path(sys.executable).parent / "alicia")

# Nobody listens on port 1, so every publish fails.
CONFIG = """
[scheduler]
timezone = "UTC"
[limits.radio]
capacity = 1
[services.mqtt]
port = 1
[events.tick]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 3600 }
action = { topic = "home/tick", message = "x" }
max_retries = 0
limit = "radio"
[events.tock]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 3600 }
action = { topic = "home/tock", message = "x" }
retry_delay = 600
"""


def alicia(*arguments):
    return CliRunner().invoke(main, arguments)


# -- without a host ----------------------------------------------------------------------------


def test_a_stored_event_whose_limit_has_left_the_configuration_is_refused_with_the_reason():
    resolver = Resolver(Registry(load_plugins(find_candidates())), Settings(), {}, limits=("disk",))
    event = make_event(
        schedule_type="interval",
        schedule_config={"interval": 60},
        action={"type": "mqtt_publish", "topic": "a"},
        limit="radio",
    )
    with pytest.raises(ConfigError, match="limit: there is no limit 'radio'"):
        resolver.prepare(event, datetime(2026, 1, 1, tzinfo=UTC))


def test_check_warns_of_an_event_that_is_faster_than_min_interval(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(CONFIG.replace("value = 3600", "value = 0.02", 1))
    result = alicia("check", str(file))
    assert result.exit_code == 0
    assert "events.tick: its slots are 0.02 s apart, faster than min_interval = 0.1 s" in (
        result.stderr
    )
    assert "tock" not in result.stderr


def test_check_refuses_a_limit_that_is_not_there_with_the_near_name(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(CONFIG.replace('limit = "radio"', 'limit = "raido"'))
    result = alicia("check", str(file))
    assert result.exit_code == 1
    assert "events.tick.limit: there is no limit 'raido' (did you mean 'radio'?)" in result.stderr


def test_check_refuses_an_action_type_that_is_not_there(tmp_path):
    file = tmp_path / "home.toml"
    file.write_text(CONFIG.replace("{ topic =", '{ type = "mqtt_publsh", topic =', 1))
    result = alicia("check", str(file))
    assert result.exit_code == 1
    assert "events.tick.action.type: there is no action type 'mqtt_publsh'" in result.stderr


def test_a_rehearsal_obeys_the_limits(tmp_path):
    file = tmp_path / "home.toml"
    shared = CONFIG.replace("retry_delay = 600", 'limit = "radio"')
    file.write_text(shared)
    result = alicia(
        "simulate", str(file), "--from", "2026-01-01T00:00Z", "--for", "90m", "--duration", "60",
        "--json",
    )  # fmt: skip
    found = json.loads(result.stdout)
    lateness = sorted(row["lateness"] for row in found["executions"])
    assert [round(seconds) for seconds in lateness] == [0, 60]


# -- with a host -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory):
    """The state directory of a running host."""
    folder = tmp_path_factory.mktemp("host")
    folder.joinpath("home.toml").write_text(CONFIG)
    process = subprocess.Popen(
        [ALICIA, "run", str(folder / "home.toml")], stderr=subprocess.DEVNULL
    )
    until((folder / "state/alicia.sock").exists, "the host does not start")
    yield folder / "state"
    process.terminate()
    assert process.wait(timeout=60) == 0


def told(state_dir, *arguments):
    return subprocess.run(
        [ALICIA, *arguments, "--state-dir", str(state_dir)],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def listed(state_dir, *arguments):
    return json.loads(told(state_dir, "executions", "list", *arguments, "--json").stdout)


def until(condition, what):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.05)
    return found


def dead_letters(state_dir, event):
    return listed(state_dir, "--status", "failed", "--final", "--event", event)


@pytest.fixture
def dead(state_dir):
    """An execution that has failed for good."""
    assert told(state_dir, "events", "trigger", "tick").returncode == 0
    return until(lambda: dead_letters(state_dir, "tick"), "nothing failed")[0]


@pytest.fixture
def waiting(state_dir):
    """An execution that waits for its retry."""
    assert told(state_dir, "events", "trigger", "tock").returncode == 0

    def found():
        pending = listed(state_dir, "--status", "pending", "--event", "tock")
        return [run for run in pending if run["next_attempt_at"]]

    return until(found, "nothing waits")[0]


def test_a_dead_letter_runs_again_and_is_linked_to_what_it_repeats(state_dir, dead):
    result = told(state_dir, "executions", "retry", dead["execution_id"])
    assert result.returncode == 0
    assert f"execution {dead['execution_id']}: again as " in result.stdout
    again = until(
        lambda: [r for r in dead_letters(state_dir, "tick") if r["retry_of"]], "it did not run"
    )[0]
    assert again["retry_of"] == dead["execution_id"]
    assert (again["trigger"], again["scheduled_time"]) == ("retry", dead["scheduled_time"])


def test_of_several_dead_letters_one_that_is_refused_stops_no_other(state_dir, dead):
    before = len(listed(state_dir, "--event", "tick"))
    result = told(state_dir, "executions", "retry", "nobody", dead["execution_id"])
    assert result.returncode == 1
    assert "there is no 'nobody'" in result.stderr
    assert len(listed(state_dir, "--event", "tick")) == before + 1


def test_a_waiting_retry_is_no_dead_letter_and_cannot_be_run_again(state_dir, waiting):
    assert waiting["execution_id"] not in {
        run["execution_id"] for run in listed(state_dir, "--final")
    }
    result = told(state_dir, "executions", "retry", waiting["execution_id"])
    assert result.returncode == 1
    assert "is pending: only one that has ended can be run again" in result.stderr


def test_a_waiting_retry_is_cancelled(state_dir, waiting):
    result = told(state_dir, "executions", "cancel", waiting["execution_id"])
    assert result.returncode == 0
    assert result.stdout == f"execution {waiting['execution_id']}: cancelled\n"
    shown = told(state_dir, "executions", "show", waiting["execution_id"], "--json")
    assert json.loads(shown.stdout)["status"] == "cancelled"
    again = told(state_dir, "executions", "cancel", waiting["execution_id"])
    assert again.returncode == 1
    assert "nothing of it is under way" in again.stderr


def test_an_execution_is_shown_with_its_steps_and_its_error(state_dir, dead):
    result = told(state_dir, "executions", "show", dead["execution_id"])
    assert result.returncode == 0
    lines = result.stdout.splitlines()
    assert f"execution    {dead['execution_id']}" in lines
    assert f"error class  {dead['error_class']}" in lines
    assert "attempts     1" in lines
    assert [line.split()[-1] for line in lines if line.startswith("+")] == [
        "due",
        "started",
        "ended",
    ]
    assert lines[lines.index("error:") + 1].strip() == dead["error_message"].splitlines()[0]


def test_an_execution_that_is_not_there_is_said_to_be_so(state_dir):
    result = told(state_dir, "executions", "show", "nobody")
    assert result.returncode == 1
    assert "there is no execution 'nobody'" in result.stderr

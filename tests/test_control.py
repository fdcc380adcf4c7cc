"""The control door: commands from the command line to a running host."""

import json
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")

CONFIG = """
[scheduler]
timezone = "UTC"
[sinks.log]
stream = "stderr"
[events.tick]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { topic = "home/tick", message = "x" }
max_retries = 0
[events.hourly]
schedule_type = "interval"
schedule_config = { type = "hours", value = 1 }
action = { topic = "home/hour", message = "x" }
[services.mqtt]
port = 1
"""


@pytest.fixture
def host(tmp_path):
    """A running host, ready when its socket is there."""
    tmp_path.joinpath("home.toml").write_text(CONFIG)
    process = subprocess.Popen(
        [ALICIA, "run", str(tmp_path / "home.toml")], stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "state/alicia.sock").exists():
        assert time.monotonic() < deadline, "the host does not start"
        assert process.poll() is None
        time.sleep(0.02)
    yield process
    process.terminate()
    assert process.wait(timeout=60) == 0
    assert not (tmp_path / "state/alicia.sock").exists()


def alicia(tmp_path, *arguments):
    return subprocess.run(
        [ALICIA, *arguments, "--state-dir", str(tmp_path / "state")],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def history(tmp_path):
    return json.loads(alicia(tmp_path, "executions", "list", "--json").stdout)


def until(condition, what):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_the_socket_is_its_owners_alone(host, tmp_path):
    assert stat.S_IMODE((tmp_path / "state/alicia.sock").stat().st_mode) == 0o600


def test_a_skipped_slot_is_recorded_as_skipped(host, tmp_path):
    answer = alicia(tmp_path, "events", "skip", "tick")
    assert answer.returncode == 0
    assert "is skipped" in answer.stdout
    until(lambda: "skip" in {run["reason"] for run in history(tmp_path)}, "no slot was skipped")


def test_a_skip_can_be_undone_once(host, tmp_path):
    assert alicia(tmp_path, "events", "skip", "hourly").returncode == 0
    assert alicia(tmp_path, "events", "skip", "hourly", "--undo").returncode == 0
    assert alicia(tmp_path, "events", "skip", "hourly", "--undo").returncode == 1


def test_a_paused_event_does_not_run_until_it_is_resumed(host, tmp_path):
    assert alicia(tmp_path, "events", "pause", "tick").returncode == 0
    until(lambda: "paused" in {run["reason"] for run in history(tmp_path)}, "not paused")
    assert alicia(tmp_path, "events", "resume", "tick").returncode == 0
    until(lambda: history(tmp_path)[0]["reason"] not in ("paused", None), "not resumed")


def test_an_event_can_be_triggered(host, tmp_path):
    answer = alicia(tmp_path, "events", "trigger", "tick")
    assert answer.returncode == 0
    until(lambda: "manual" in {run["trigger"] for run in history(tmp_path)}, "not triggered")


def test_an_unknown_event_is_refused_with_its_name(host, tmp_path):
    answer = alicia(tmp_path, "events", "trigger", "tock")
    assert answer.returncode == 1
    assert "there is no 'tock'" in answer.stderr


def test_an_instant_that_means_nothing_is_refused(host, tmp_path):
    answer = alicia(tmp_path, "events", "pause", "tick", "--until", "tomorrow")
    assert answer.returncode == 1
    assert "until" in answer.stderr


def test_without_a_host_the_exit_code_is_3(tmp_path):
    answer = alicia(tmp_path, "events", "trigger", "tick")
    assert answer.returncode == 3
    assert "alicia run CONFIG" in answer.stderr

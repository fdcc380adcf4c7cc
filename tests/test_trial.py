"""`alicia events test`: what would be sent, and one live run that leaves no trace."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from alicia_scheduler.testing.mosquitto import Mosquitto, Recorder, find_mosquitto

ALICIA = str(Path(sys.executable).parent / "alicia")

EVENTS = """
[scheduler]
timezone = "Europe/Berlin"
[secrets]
lock-pin = { env = "LOCK_PIN" }
[events.lock]
schedule_type = "cron"
schedule_config = { expression = "0 22 * * *" }
[events.lock.action]
topic = "home/{{ event.id }}/set"
message = { state = "LOCK", pin = { secret = "lock-pin" }, at = "{{ slot }}", n = "{{ attempt }}" }
qos = "{{ attempt }}"
metadata = "none"
[events.broken]
schedule_type = "cron"
schedule_config = { expression = "0 22 * * *" }
max_retries = 0
action = { topic = "home/{{ '#' }}", message = "x" }
[services.mqtt]
port = PORT
[sinks.log]
"""


def alicia(tmp_path, *arguments, pin="4711-0815"):
    return subprocess.run(
        [ALICIA, "events", "test", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=tmp_path,
        env=os.environ | ({"LOCK_PIN": pin} if pin else {}),
    )


@pytest.fixture
def written(tmp_path):
    def write(port=1):
        tmp_path.joinpath("home.toml").write_text(EVENTS.replace("PORT", str(port)))
        return tmp_path

    return write


def test_a_file_says_what_would_be_sent_without_a_host(written):
    answer = alicia(written(), "lock", "--config", "home.toml", "--json")
    assert answer.returncode == 0, answer.stderr
    shown = json.loads(answer.stdout)
    assert shown["options"]["topic"] == "home/lock/set"
    assert shown["options"]["qos"] == 1
    message = shown["options"]["message"]
    assert (message["state"], message["pin"], message["n"]) == ("LOCK", "***", 1)
    assert "T22:00:00+0" in message["at"]
    assert json.loads(shown["preview"]["payload"]) == message
    assert shown["problem"] is None
    assert "4711" not in answer.stdout + answer.stderr


def test_for_people_it_says_that_nothing_was_sent(written):
    answer = alicia(written(), "lock", "--config", "home.toml")
    assert "lock: mqtt_publish for the slot" in answer.stdout
    assert '"topic": "home/lock/set"' in answer.stdout
    assert "nothing was sent; --live runs it once" in answer.stdout
    assert not (written() / "state").exists()


def test_an_attempt_that_would_fail_says_why_and_exits_1(written):
    answer = alicia(written(), "broken", "--config", "home.toml")
    assert answer.returncode == 1
    assert "would fail (template): action.topic: topic 'home/#'" in answer.stdout


def test_a_missing_secret_is_named_with_its_place(written):
    answer = alicia(written(), "lock", "--config", "home.toml", pin=None)
    assert answer.returncode == 1
    assert "events.lock.action.message.pin: the secret 'lock-pin' is missing" in answer.stderr
    assert "home.toml:11" in answer.stderr


def test_an_unknown_event_is_refused(written):
    answer = alicia(written(), "lokc", "--config", "home.toml")
    assert answer.returncode == 1
    assert "there is no event 'lokc'" in answer.stderr


def test_without_a_host_and_a_file_the_exit_code_is_3(tmp_path):
    assert alicia(tmp_path, "lock").returncode == 3


@pytest.fixture
def host(written, tmp_path):
    """A running host with a broker."""
    if find_mosquitto() is None and not os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
        pytest.skip("mosquitto is not installed")
    broker = Mosquitto(tmp_path)
    broker.start()
    written(broker.port)
    process = subprocess.Popen(
        [ALICIA, "run", "home.toml"],
        cwd=tmp_path,
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=os.environ | {"LOCK_PIN": "4711-0815"},
    )
    give_up = time.monotonic() + 60
    while not (tmp_path / "state/alicia.sock").exists():
        assert time.monotonic() < give_up, "the host does not start"
        time.sleep(0.02)
    yield broker
    process.terminate()
    assert process.wait(timeout=60) == 0
    broker.stop()


async def test_a_live_run_sends_once_and_leaves_no_trace(host, tmp_path):
    with Recorder(host.port, "home/#") as recorder:
        dry = alicia(tmp_path, "lock", pin=None)
        assert dry.returncode == 0, dry.stderr
        live = alicia(tmp_path, "lock", "--live", "--json", pin=None)
        (message,) = await recorder.wait_for("home/lock/set")
    assert live.returncode == 0, live.stderr
    assert message.qos == 1
    assert message.json()["pin"] == "4711-0815"
    shown = json.loads(live.stdout)
    assert shown["live"]["status"] == "completed"
    assert shown["live"]["result"]["topic"] == "home/lock/set"
    assert "4711" not in dry.stdout + live.stdout
    assert state(tmp_path, "executions", "list") == []
    runs = {event["event_id"]: event["run_count"] for event in state(tmp_path, "events", "list")}
    assert runs == {"lock": 0, "broken": 0}


def test_a_live_run_that_fails_exits_1_and_says_why(host, tmp_path):
    host.stop()
    answer = alicia(tmp_path, "broken", "--live", pin=None)
    assert answer.returncode == 1
    assert "would fail (template)" in answer.stdout
    assert "ran once" not in answer.stdout


def state(tmp_path, *arguments):
    command = [ALICIA, *arguments, "--state-dir", str(tmp_path / "state"), "--json"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)

"""The whole thing: `alicia run` as a process, a real Mosquitto, an independent client."""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from alicia_scheduler.testing.mosquitto import Mosquitto, Recorder, find_mosquitto

ALICIA = str(Path(sys.executable).parent / "alicia")

if find_mosquitto() is None and not os.environ.get("ALICIA_REQUIRE_MOSQUITTO"):
    pytest.skip("mosquitto is not installed", allow_module_level=True)


@pytest.fixture
def broker(tmp_path):
    mosquitto = Mosquitto(tmp_path)
    mosquitto.start()
    yield mosquitto
    mosquitto.stop()


@pytest.fixture
def host(tmp_path, broker):
    """Starts `alicia run` on a configuration; what still runs at the end is killed."""
    processes = []

    def start(events, *, more=""):
        config = tmp_path / "home.toml"
        config.write_text(
            f'[scheduler]\ntimezone = "UTC"\n[services.mqtt]\nport = {broker.port}\n'
            f"[sinks.mqtt]\n{more}\n{events}"
        )
        process = subprocess.Popen([ALICIA, "run", str(config)], stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield start
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


def stop(process):
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


def listing(tmp_path, *arguments):
    answer = subprocess.run(
        [ALICIA, *arguments, "--state-dir", str(tmp_path / "state"), "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(answer.stdout)


def soon(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).replace(microsecond=0)


def four_types():
    moment = soon(20)
    return (
        f"""
[events.by-once]
schedule_type = "once"
schedule_config = {{ run_at = "{moment.isoformat()}" }}
action = {{ topic = "home/once", message = {{ state = "ON" }}, qos = 1 }}
[events.by-interval]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
action = {{ topic = "home/interval", message = {{ state = "ON" }}, qos = 1 }}
[events.by-recurring]
schedule_type = "recurring"
schedule_config = {{ frequency = "daily", time_of_day = "{moment:%H:%M:%S}" }}
action = {{ topic = "home/recurring", message = {{ state = "ON" }}, qos = 1 }}
[events.by-cron]
schedule_type = "cron"
schedule_config = {{ expression = "* * * * * *" }}
action = {{ topic = "home/cron", message = {{ state = "ON" }}, qos = 1 }}
""",
        moment.timestamp(),
    )


async def test_all_four_schedule_types_publish_and_their_results_come_back(host, broker, tmp_path):
    events, moment = four_types()
    with Recorder(broker.port, "home/#", "alicia/scheduler/#") as recorder:
        process = host(events)
        for kind in ("once", "interval", "recurring", "cron"):
            await recorder.wait_for(f"home/{kind}")
        await recorder.wait_for("alicia/scheduler/execution_results", 4)
        code, _ = stop(process)
        await recorder.until(
            lambda: (
                [m.payload for m in recorder.of("alicia/scheduler/availability")]
                == [b"online", b"offline"]
            ),
            "availability online, then offline",
        )
    assert code == 0

    (once,) = recorder.of("home/once")
    body = once.json()
    assert body.pop("state") == "ON"
    assert body.pop("event_id") == "by-once"
    assert body.pop("scheduled_time") == moment
    assert body.pop("triggered_by") == "scheduler"
    assert body.pop("execution_time") - moment >= 0
    execution_id = body.pop("execution_id")
    assert body == {}

    results = [m.json() for m in recorder.of("alicia/scheduler/execution_results")]
    (result,) = [result for result in results if result["execution_id"] == execution_id]
    assert result["event_id"] == "by-once"
    assert result["status"] == "completed"
    assert result["result"]["topic"] == "home/once"
    assert result["result"]["message"]["state"] == "ON"
    assert result["duration"] >= 0
    assert {result["event_id"] for result in results} == {
        "by-once",
        "by-interval",
        "by-recurring",
        "by-cron",
    }
    (recurring,) = recorder.of("home/recurring")
    assert recurring.json()["scheduled_time"] == moment
    for kind in ("interval", "cron"):
        slots = [message.json()["scheduled_time"] for message in recorder.of(f"home/{kind}")]
        gaps = [later - earlier for earlier, later in itertools.pairwise(slots)]
        assert gaps == pytest.approx([1.0] * len(gaps))

    lifecycle = [m.json()["event_type"] for m in recorder.of("alicia/scheduler/events")]
    assert "execution_started" in lifecycle
    assert "execution_completed" in lifecycle
    (started,) = [
        m.json()
        for m in recorder.of("alicia/scheduler/execution_started")
        if m.json()["event_data"]["event_id"] == "by-once"
    ]
    assert started["source"] == "event_scheduler"
    assert started["event_data"]["scheduled_time"] == moment


async def test_after_a_stop_and_a_restart_no_slot_is_doubled_and_the_grid_goes_on(
    host, broker, tmp_path
):
    events, moment = four_types()
    with Recorder(broker.port, "home/#") as recorder:
        first = host(events)
        await recorder.wait_for("home/cron", 2)
        assert stop(first)[0] == 0
        second = host(events)
        for kind in ("once", "recurring", "interval"):
            await recorder.wait_for(f"home/{kind}")
        await recorder.wait_for("home/cron", len(recorder.of("home/cron")) + 3)
        assert stop(second)[0] == 0
        runs = Counter(
            (message.json()["event_id"], message.json()["scheduled_time"])
            for message in recorder.messages
        )
    assert set(runs.values()) == {1}
    assert runs["by-once", moment] == 1
    assert runs["by-recurring", moment] == 1
    intervals = sorted(slot for event_id, slot in runs if event_id == "by-interval")
    grid = [(slot - intervals[0]) % 1 for slot in intervals]
    assert grid == pytest.approx([0] * len(grid), abs=1e-5)

    history = listing(tmp_path, "executions", "list", "--limit", "1000")
    # Skipped where the machine is so slow that a publish lasts until the next second.
    assert {run["status"] for run in history} <= {"completed", "missed", "skipped"}
    completed = Counter(
        (run["event_id"], run["scheduled_time"]) for run in history if run["status"] == "completed"
    )
    assert completed == runs
    counters = {event["event_id"]: event for event in listing(tmp_path, "events", "list")}
    assert counters["by-once"]["next_run"] is None
    assert counters["by-once"]["success_count"] == 1
    assert counters["by-cron"]["run_count"] == sum(
        count for (event_id, _), count in runs.items() if event_id == "by-cron"
    )


async def until_run(tmp_path, condition):
    """The one execution there is, once it is as wanted."""
    deadline = time.monotonic() + 60
    while True:
        found = listing(tmp_path, "executions", "list")
        if found and condition(found[0]):
            (execution,) = found
            return execution
        assert time.monotonic() < deadline, found
        time.sleep(0.1)


LAMP = """
[events.lamp]
schedule_type = "once"
schedule_config = {{ run_at = "2099-01-01T00:00:00Z" }}
action = {{ topic = "home/lamp", message = "on", qos = 1, retain = true, outbox = {outbox} }}
retry_delay = 0.5
retry_backoff = 1.0
max_retries = 1000
"""


async def trigger_without_broker(host, broker, tmp_path, outbox):
    """A running host whose broker has gone before the lamp was triggered."""
    with Recorder(broker.port, "alicia/scheduler/availability") as recorder:
        process = host(LAMP.format(outbox=outbox))
        await recorder.wait_for("alicia/scheduler/availability")
    broker.kill()
    command = [ALICIA, "events", "trigger", "lamp", "--state-dir", str(tmp_path / "state")]
    deadline = time.monotonic() + 30
    while subprocess.run(command, capture_output=True, check=False).returncode:  # opens last
        assert time.monotonic() < deadline
    return process


async def arrived_after_the_outage(broker):
    broker.start()
    with Recorder(broker.port, "home/lamp") as later:
        (message,) = await later.wait_for("home/lamp")
    assert message.payload == b"on"


async def test_a_publish_waits_for_its_broker_in_one_attempt(host, broker, tmp_path):
    process = await trigger_without_broker(host, broker, tmp_path, "true")
    waiting = await until_run(tmp_path, lambda run: run["status"] == "running")
    assert waiting["useful_until"] == pytest.approx(waiting["scheduled_time"] + 3600)
    time.sleep(0.5)
    await arrived_after_the_outage(broker)
    done = await until_run(tmp_path, lambda run: run["status"] == "completed")
    assert done["retry_count"] == 0
    assert done["result"]["outbox"]["waited"] > 0
    assert stop(process)[0] == 0


async def test_without_the_outbox_it_is_retried_and_arrives_after_the_outage(
    host, broker, tmp_path
):
    process = await trigger_without_broker(host, broker, tmp_path, "false")
    tried = await until_run(tmp_path, lambda run: run["retry_count"] >= 1)
    assert tried["status"] in ("pending", "running")
    assert tried["error_class"] == "connection"
    await arrived_after_the_outage(broker)
    await until_run(tmp_path, lambda run: run["status"] == "completed")
    assert stop(process)[0] == 0


async def test_without_a_broker_the_host_starts_and_stops_normally(host, broker, tmp_path):
    broker.kill()
    process = host("""
[events.tick]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { topic = "home/tick", message = "x" }
max_retries = 0
""")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            found = listing(tmp_path, "executions", "list")
        except subprocess.CalledProcessError:
            continue
        if len(found) >= 2:
            break
    assert {run["status"] for run in found} <= {"failed", "running"}
    code, errors = stop(process)
    assert code == 0
    assert "Traceback" not in errors


async def test_a_second_host_on_the_same_state_directory_refuses(host, broker, tmp_path):
    with Recorder(broker.port, "alicia/scheduler/availability") as recorder:
        first = host("")
        await recorder.wait_for("alicia/scheduler/availability")
        second = host("")
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 1
        assert f"pid {first.pid}" in errors or str(first.pid) in errors
        assert stop(first)[0] == 0


FIVE_MISTAKES = """\
[sinks.log]

[events.one]
schedule_type = "crn"
schedule_config = { expression = "* * * * *" }
action = { topic = "a" }

[events.two]
schedule_type = "cron"
schedule_config = { expresion = "* * * * *" }
action = { topic = "a" }

[events.three]
schedule_type = "cron"
schedule_config = { expression = "61 * * * *" }
action = { topic = "a" }

[events.four]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 5 }
action = { topic = "home/+" }

[events.five]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 5 }
timezone = "Europe/Berln"
action = { topic = "a" }
"""


@pytest.mark.parametrize("verb", ["check", "run"])
def test_five_mistakes_give_five_errors_with_lines_and_fixes_and_nothing_runs(tmp_path, verb):
    config = tmp_path / "bad.toml"
    config.write_text(FIVE_MISTAKES)
    answer = subprocess.run(
        [ALICIA, verb, str(config)], capture_output=True, text=True, check=False, timeout=30
    )
    errors = [line for line in answer.stderr.splitlines() if line.startswith(str(config))]
    assert answer.returncode == 1
    lines = [int(line[len(str(config)) + 1 :].split(":")[0]) for line in errors]
    assert lines == [4, 10, 15, 21, 26]
    assert "did you mean 'cron'" in errors[0]
    assert "'expression'" in errors[1]
    assert "61" in errors[2]
    assert "wildcard" in errors[3]
    assert "Europe/Berlin" in errors[4]
    assert not (tmp_path / "state").exists()


HIDE_ONE_DISTRIBUTION = """
import importlib.metadata as metadata, os
_all = metadata.distributions
def distributions(**options):
    return [d for d in _all(**options) if d.metadata["Name"] != os.environ["HIDDEN"]]
metadata.distributions = distributions
"""


async def test_without_the_cron_plugin_its_events_are_unresolved_and_the_others_run(
    host, broker, tmp_path, monkeypatch
):
    """As after `pip uninstall alicia-schedule-cron`, without uninstalling for the other tests."""
    site = tmp_path / "site"
    site.mkdir()
    site.joinpath("sitecustomize.py").write_text(HIDE_ONE_DISTRIBUTION)
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("HIDDEN", "alicia-schedule-cron")
    events, _ = four_types()
    with Recorder(broker.port, "home/#") as recorder:
        process = host(events)
        await recorder.wait_for("home/interval", 2)
        code, errors = stop(process)
        assert code == 0
        assert recorder.of("home/cron") == []
    assert "events.by-cron" in errors
    assert "pip install alicia-schedule-cron" in errors
    kept = {event["event_id"]: event for event in listing(tmp_path, "events", "list")}
    assert kept["by-cron"]["next_run"] is None
    monkeypatch.setenv("HIDDEN", "none")
    with Recorder(broker.port, "home/#") as recorder:
        process = host(events)
        await recorder.wait_for("home/cron", 2)
        assert stop(process)[0] == 0

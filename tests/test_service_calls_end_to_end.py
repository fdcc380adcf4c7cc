"""Service calls in a real host: `alicia run` and `alicia check` as processes."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")


def alicia(*arguments):
    return subprocess.run([ALICIA, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path):
    def write(text):
        file = tmp_path / "home.toml"
        file.write_text(f'[scheduler]\ntimezone = "UTC"\ndrain_timeout = 0\n{text}')
        return str(file)

    return write


def event(event_id, action, **fields):
    more = "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
    return f"""
[events.{event_id}]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
action = {{ type = "service_call", {action} }}
{more}"""


@pytest.mark.parametrize(
    ("action", "sentence"),
    [
        ('service = "scheduler.pauze"', "did you mean 'scheduler.pause'"),
        ('service = "scheduler.pause", data = { event = "x" }', "did you mean 'event_id'?"),
        (
            'via = "home_assistant", service = "light.turn_on"',
            (
                "action: needs the service 'home_assistant', which is not configured: "
                "the key 'url' is missing (add [services.home_assistant])"
            ),
        ),
        ('via = "bus", preset = "tss"', "did you mean 'tts'?"),
    ],
)
def test_a_wrong_call_is_told_with_its_line(config, action, sentence):
    answer = alicia("check", config(event("e", action)))
    assert answer.returncode == 1
    assert ":8: events.e.action" in answer.stderr
    assert sentence in answer.stderr
    assert len(answer.stderr.splitlines()) <= 2


def test_a_right_call_is_right_on_every_way(config):
    link = '[services.home_assistant]\nurl = "http://127.0.0.1:1"\ntoken = "x"\n'
    events = [
        event("a", 'service = "scheduler.skip", data = { event_id = "b" }'),
        event("b", 'via = "bus", preset = "tts", data = { text = "{{ event.name }}" }'),
        event("c", 'via = "home_assistant", service = "light.turn_on"'),
    ]
    answer = alicia("check", config(link + "".join(events)))
    assert (answer.returncode, answer.stderr) == (0, "")


def test_a_call_can_be_tried_without_being_made(config):
    file = config(event("a", 'service = "scheduler.skip", data = { event_id = "{{ event.id }}" }'))
    answer = alicia("events", "test", "a", "--config", file, "--json")
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["preview"] == {
        "via": "host",
        "service": "scheduler.skip",
        "data": {"event_id": "a"},
    }


def test_an_event_triggers_and_disables_another(config, tmp_path):
    file = config(
        event("ringer", 'service = "scheduler.trigger", data = { event_id = "bell" }')
        + event("guard", 'service = "scheduler.disable", data = { event_id = "ringer" }')
        + event("lost", 'service = "scheduler.trigger", data = { event_id = "nobody" }')
        + """
[events.bell]
schedule_type = "cron"
schedule_config = { expression = "0 0 1 1 *" }
action = { type = "script_execution", command = ["/bin/echo", "ding"] }
"""
    )
    state = str(tmp_path / "state")

    def executions(event_id):
        answer = alicia("executions", "list", "--state-dir", state, "--json")
        rows = json.loads(answer.stdout) if answer.returncode == 0 else []
        ended = [row for row in rows if row["status"] in ("completed", "failed")]
        return [row for row in ended if row["event_id"] == event_id]

    with subprocess.Popen([ALICIA, "run", file], stderr=subprocess.DEVNULL) as host:
        try:
            deadline = time.monotonic() + 60
            while not all(map(executions, ("ringer", "bell", "guard", "lost"))):
                assert time.monotonic() < deadline, "not all have run"
                time.sleep(0.1)
        finally:
            host.send_signal(signal.SIGTERM)
        assert host.wait() == 0
    [ringer] = executions("ringer")[-1:]
    [bell] = executions("bell")[-1:]
    [guard] = executions("guard")[-1:]
    [lost] = executions("lost")[-1:]
    assert bell["trigger"] == "chain"
    assert bell["parent_id"] == ringer["execution_id"]
    assert ringer["result"]["answer"]["executions"][0]["execution_id"] == bell["execution_id"]
    assert guard["result"]["answer"]["enabled"] is False
    assert (lost["status"], lost["error_class"], lost["retry_count"]) == ("failed", "not_found", 0)
    answer = alicia("events", "list", "--state-dir", state, "--json")
    enabled = {row["event_id"]: row["enabled"] for row in json.loads(answer.stdout)}
    assert enabled == {"ringer": False, "guard": True, "lost": True, "bell": True}

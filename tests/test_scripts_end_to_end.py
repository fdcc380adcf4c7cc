"""Scripts in a real host: `alicia run` and `alicia check` as processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")

SHELL_EVENT = """
[events.piped]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { type = "script_execution", command = "echo a | tr a b", shell = true }
"""


def alicia(*arguments):
    return subprocess.run([ALICIA, *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def config(tmp_path):
    def write(text):
        file = tmp_path / "home.toml"
        file.write_text(f'[scheduler]\ntimezone = "UTC"\ndrain_timeout = 0\n{text}')
        return str(file)

    return write


def test_a_shell_is_a_mistake_until_the_host_allows_it(config):
    refused = alicia("check", config(SHELL_EVENT))
    assert refused.returncode == 1
    assert ":8: events.piped.action.shell: this host runs no shell" in refused.stderr
    allowed = alicia("check", config(SHELL_EVENT + "[plugins.action-script]\nshell = true\n"))
    assert (allowed.returncode, allowed.stderr) == (0, "")


def executions(tmp_path, event_id, status):
    answer = alicia("executions", "list", "--state-dir", str(tmp_path / "state"), "--json")
    rows = json.loads(answer.stdout) if answer.returncode == 0 else []
    return [row for row in rows if (row["event_id"], row["status"]) == (event_id, status)]


def until(look):
    """What ``look`` finds once it finds something."""
    deadline = time.monotonic() + 60
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.1)
    return found


def marked(mark):
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append(process.name)
        except OSError:
            continue
    return found


def test_a_script_runs_times_out_and_is_told_line_by_line(config, tmp_path):
    mark = f"TEST_MARK={os.getpid()}-{time.monotonic_ns()}"
    name, value = mark.split("=")
    script = "echo begun; (sleep 600 & sleep 600); echo never"
    file = config(f"""
[sinks.log]
format = "json"
only = ["execution_output"]

[events.said]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
action = {{ type = "script_execution", command = ["/bin/echo", '{{"a": 1}}'], parse_json = true }}

[events.stuck]
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
max_retries = 0
timeout = 0.5
[events.stuck.action]
type = "script_execution"
command = ["/bin/sh", "-c", "{script}"]
env = {{ {name} = "{value}" }}
grace = 0.2
""")
    with subprocess.Popen([ALICIA, "run", file], stdout=subprocess.PIPE, text=True) as host:
        try:
            said = until(lambda: executions(tmp_path, "said", "completed"))
            stuck = until(lambda: executions(tmp_path, "stuck", "failed"))
        finally:
            host.send_signal(signal.SIGTERM)
        told = [json.loads(line)["event_data"] for line in host.stdout]
        assert host.wait() == 0
    assert said[0]["result"]["output"] == {"a": 1}
    assert stuck[0]["reason"] == "timeout"
    assert stuck[0]["error_message"] == "timed out after 0.5 s"
    assert {(line["event_id"], line["line"]) for line in told} >= {("stuck", "begun")}
    assert marked(mark) == []

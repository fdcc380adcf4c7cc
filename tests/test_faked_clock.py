"""The real process on another day: across a clock change, and booted in 1970 (libfaketime)."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

ALICIA = str(Path(sys.executable).parent / "alicia")

FAKETIME = list(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))

pytestmark = pytest.mark.skipif(
    not FAKETIME, reason="faketime is not installed (apt install faketime)"
)

CONFIG = """
[scheduler]
timezone = "Europe/Berlin"
[services.mqtt]
port = 1
[events.calendar]
schedule_type = "cron"
schedule_config = { expression = "30 2 * * *" }
action = { topic = "home/a", message = "x" }
max_retries = 0
[events.interval]
schedule_type = "interval"
schedule_config = { type = "seconds", value = 1 }
action = { topic = "home/b", message = "x" }
max_retries = 0
"""


def run_until(tmp_path, begin, enough):
    """Run a host whose clock starts at ``begin`` until its history is ``enough``."""
    config = tmp_path / "home.toml"
    config.write_text(CONFIG)
    faked = {}
    if begin is not None:
        # The library itself and not its wrapper, which would stand between us and the process.
        faked = {"LD_PRELOAD": str(FAKETIME[0]), "FAKETIME": f"@{begin}", "TZ": "UTC"}
    process = subprocess.Popen(
        [ALICIA, "run", str(config)], stderr=subprocess.PIPE, text=True, env=os.environ | faked
    )
    deadline = time.monotonic() + 30
    try:
        while not enough(history(tmp_path)):
            assert time.monotonic() < deadline, history(tmp_path)
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    return errors


def history(tmp_path):
    answer = subprocess.run(
        [ALICIA, "executions", "list", "--json", "--limit=1000", f"--state-dir={tmp_path}/state"],
        capture_output=True,
        text=True,
        check=False,
    )
    return json.loads(answer.stdout) if answer.returncode == 0 else []


def of(executions, event_id):
    return [run for run in executions if run["event_id"] == event_id]


def test_a_reading_in_the_gap_runs_once_at_its_end(tmp_path):
    run_until(tmp_path, "2026-03-29 00:59:58", lambda found: of(found, "calendar"))
    (execution,) = of(history(tmp_path), "calendar")
    assert execution["scheduled_time"] == 1774746000  # 2026-03-29 03:00 in Berlin
    assert execution["status"] == "failed"  # there is no broker here; what matters is that it ran


def test_a_repeated_reading_runs_in_its_first_pass_only(tmp_path):
    run_until(tmp_path, "2026-10-25 00:29:58", lambda found: of(found, "calendar"))
    run_until(
        tmp_path,
        "2026-10-25 01:29:57",
        lambda found: len([run for run in found if run["scheduled_time"] > 1792891805]) > 2,
    )
    (execution,) = of(history(tmp_path), "calendar")
    assert execution["scheduled_time"] == 1792888200  # 2026-10-25 02:30 in Berlin, first pass


def test_a_boot_in_1970_lets_intervals_run_and_makes_no_storm(tmp_path):
    run_until(tmp_path, None, lambda found: len(of(found, "interval")) >= 2)
    before = {run["execution_id"] for run in history(tmp_path)}
    errors = run_until(
        tmp_path,
        "1970-01-01 00:00:10",
        lambda found: len([run for run in found if run["execution_id"] not in before]) >= 2,
    )
    new = [run for run in history(tmp_path) if run["execution_id"] not in before]
    assert "the wall clock was set back" in errors
    assert {run["event_id"] for run in new} == {"interval"}
    assert all(run["scheduled_time"] < 86_400 for run in new)

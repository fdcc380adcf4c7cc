"""The real process on another day: across a clock change, and booted in 1970 (libfaketime)."""

import os
import subprocess
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from alicia_scheduler.api import StoreError
from alicia_scheduler.api.model import to_wire
from alicia_scheduler.store.reader import open_reader

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


MARGINS = [5, 20, 80]
"""Seconds between the start of a process and the slot; the next one if it was not up in time."""

PATIENCE = 120
"""Seconds of this machine's time that a history may take beyond that."""


def run_across(tmp_path, slot, enough):
    """Run a host from a while before ``slot`` until its history is ``enough``, and give the folder
    that its state is in. On a busy machine it may be up only after the slot: then once more, from
    longer before."""
    for margin in MARGINS:
        place = tmp_path / f"{margin}"
        place.mkdir()
        begin = datetime.fromisoformat(slot) - timedelta(seconds=margin)
        late = (datetime.fromisoformat(f"{slot}+00:00") + timedelta(seconds=1)).timestamp()

        def over(found, late=late):
            return enough(found) or _begun_late(found, late)

        run_until(place, begin, over)
        if not _begun_late(history(place), late):
            return place
    raise AssertionError(f"the process takes longer than {MARGINS[-1]} s to start")


def _begun_late(executions, late):
    """Whether the interval, which runs every second, had its first slot after ``late``."""
    slots = [run["scheduled_time"] for run in of(executions, "interval")]
    return bool(slots) and min(slots) > late


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
    deadline = time.monotonic() + PATIENCE + MARGINS[-1]
    try:
        while not enough(history(tmp_path)):
            assert time.monotonic() < deadline, history(tmp_path)
            assert process.poll() is None, process.communicate()
            time.sleep(0.1)
    finally:
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    return errors


def history(tmp_path):
    try:
        with open_reader(tmp_path / "state") as store:
            return [to_wire(execution) for execution in store.list_executions(limit=1000)]
    except StoreError:
        return []


def of(executions, event_id):
    return [run for run in executions if run["event_id"] == event_id]


def test_a_reading_in_the_gap_runs_once_at_its_end(tmp_path):
    place = run_across(tmp_path, "2026-03-29 01:00:00", lambda found: of(found, "calendar"))
    (execution,) = of(history(place), "calendar")
    assert execution["scheduled_time"] == 1774746000  # 2026-03-29 03:00 in Berlin
    assert execution["status"] == "failed"  # there is no broker here; what matters is that it ran


def test_a_repeated_reading_runs_in_its_first_pass_only(tmp_path):
    place = run_across(tmp_path, "2026-10-25 00:30:00", lambda found: of(found, "calendar"))
    run_until(
        place,
        "2026-10-25 01:29:57",
        lambda found: len([run for run in found if run["scheduled_time"] > 1792891805]) > 2,
    )
    (execution,) = of(history(place), "calendar")
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

"""The profile ``flash`` under kill -9: what must not happen twice does not, and no more than the
window is lost."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

CLI = "from alicia_scheduler.cli.main import main; main(prog_name='alicia')"

CONFIGURATION = """
[scheduler]
state_dir = "state"
durability = "flash"
loss_window = 2

[events.once]
name = "Once"
schedule_type = "once"
schedule_config = {{ run_at = {at} }}
action = {{ type = "script_execution", command = ["sh", "-c", "echo once >> {folder}/ran"] }}
misfire_grace = 3600

[events.never-twice]
name = "Never twice"
schedule_type = "interval"
schedule_config = {{ type = "seconds", value = 1 }}
on_interrupted = "fail"
[events.never-twice.action]
type = "script_execution"
command = ["sh", "-c", "echo $ALICIA_SLOT >> {folder}/ran"]
"""


def start(folder):
    address = folder / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(address))
        told.settimeout(60)
        host = subprocess.Popen(
            [sys.executable, "-c", CLI, "run", str(folder / "alicia.toml")],
            cwd=folder,
            env=os.environ | {"NOTIFY_SOCKET": str(address)},
            stderr=subprocess.DEVNULL,
        )
        while b"READY=1" not in told.recv(4096):
            pass
    address.unlink()
    return host


def lines(folder):
    ran = folder / "ran"
    return ran.read_text().splitlines() if ran.exists() else []


def wait_for_more(folder, count):
    """Until so many more lines have been written."""
    wanted = len(lines(folder)) + count
    while len(lines(folder)) < wanted:
        time.sleep(0.02)


def executions(folder, event_id):
    with sqlite3.connect(folder / "state" / "alicia.db") as store:
        return store.execute(
            "SELECT status FROM executions WHERE event_id = ?", (event_id,)
        ).fetchall()


def wait_until_recorded(folder, event_id):
    while executions(folder, event_id) != [("completed",)]:
        time.sleep(0.02)


def test_kill_9_doubles_nothing_and_takes_back_no_more_than_the_window(tmp_path):
    at = (datetime.now(UTC) + timedelta(seconds=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    (tmp_path / "alicia.toml").write_text(CONFIGURATION.format(at=at, folder=tmp_path))
    for round_number in range(4):
        host = start(tmp_path)
        wait_for_more(tmp_path, 2 + round_number)
        ran = lines(tmp_path)
        if "once" in ran:
            # Cut short in its midst it would run again, as with any profile.
            wait_until_recorded(tmp_path, "once")
        host.send_signal(signal.SIGKILL)
        host.wait()
    host = start(tmp_path)
    wait_for_more(tmp_path, 3)
    host.terminate()
    assert host.wait() == 0
    counts = Counter(lines(tmp_path))
    assert {line: count for line, count in counts.items() if count > 1} == {}
    assert counts["once"] == 1
    # Their starts were forced, so not even the executions of the window are lost.
    assert len(executions(tmp_path, "never-twice")) >= sum(counts.values()) - 1
